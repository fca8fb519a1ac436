// INDIGO IAM's client APIs: what anybody may do (/iam/api/client-registration: RFC 7591 and 7592 with
// its own habits) and what an administrator may do (/iam/api/clients), traps included.
import { createPublicKey } from 'node:crypto';

import { DEFAULT_SCOPE, clientRecord, forbiddenGrant, registrableScope } from './client_rules.mjs';
import { validPayload } from './iam_inspection.mjs';
import { authorizationScheme } from './request_body.mjs';
import { words } from './scopes.mjs';

const ADMINISTRATION = /^\/iam\/api\/clients\/([^/]+)(?:\/(enable|disable))?$/;
const BOOLEANS = ['reuse_refresh_token', 'clear_access_tokens_on_refresh', 'allow_introspection'];
const MANAGED = ['registration_access_token', 'registration_client_uri', 'client_id_issued_at',
  'client_secret_expires_at', 'created_at', 'dynamically_registered', 'active'];

// What IAM shows of a client; an empty list is left out.
const SHOWN = ['client_id', 'client_secret', 'client_name', 'client_description', 'redirect_uris',
  'contacts', 'grant_types', 'response_types', 'token_endpoint_auth_method', 'reuse_refresh_token',
  'dynamically_registered', 'clear_access_tokens_on_refresh', 'allow_introspection', 'active',
  'registration_access_token', 'registration_client_uri', 'created_at'];

/** Middleware in front of the provider's registration endpoint. */
export function changeRegistration({ storage, routes, signingKey }) {
  const inside = `${routes.registration}/`;
  const publicKey = createPublicKey({ key: signingKey, format: 'jwk' });
  return async (ctx, next) => {
    if (ctx.path !== routes.registration && !ctx.path.startsWith(inside)) return next();
    // Anybody may register; an initial access token (RFC 7591 section 1.2) that comes along has to be one.
    if (ctx.path === routes.registration && ctx.method === 'POST' && !isGoodBearer(ctx, publicKey)) {
      ctx.status = 401;
      ctx.body = { error: 'invalid_token', error_description: 'Invalid access token' };
      return undefined;
    }
    if (ctx.method === 'POST' || ctx.method === 'PUT') {
      const has = clientRecord(storage, ctx.path.slice(inside.length));
      const problem = problemWith(ctx.req.body, has, ctx.method);
      if (problem) return refuse(ctx, 400, problem);
      if (has?.active === false) return refuse(ctx, 403, 'Client is suspended');
      prepare(ctx.req.body, has);
    }
    await next();
    if (ctx.body?.client_id) ctx.body = shownClient(ctx.body);
    else if (ctx.status >= 400) freeText(ctx);
    return undefined;
  };
}

/** Middleware: GET and PUT of any client, and its suspension, for administrators. */
export function serveClientAdministration({ config, storage, accounts, signingKey }) {
  const publicKey = createPublicKey({ key: signingKey, format: 'jwk' });
  return async (ctx, next) => {
    const match = ADMINISTRATION.exec(ctx.path);
    if (!match) return next();
    const problem = problemWithAdministrator(ctx, { config, accounts, publicKey });
    if (problem) {
      [ctx.status, ctx.body] = problem;
      return undefined;
    }
    const client = clientRecord(storage, match[1]);
    if (!client) return refuse(ctx, 404, `Client not found: ${match[1]}`);
    if (ctx.method === 'PATCH' && match[2]) client.active = match[2] === 'enable';
    else if (ctx.method === 'PUT') storage.put(`Client:${match[1]}`, replaced(client, ctx.req.body));
    else if (ctx.method !== 'GET') return refuse(ctx, 405, 'Method not allowed');
    ctx.status = 200;
    ctx.body = shownClient(clientRecord(storage, match[1]));
    if (config.secrets === 'once') delete ctx.body.client_secret;
    return undefined;
  };
}

function isGoodBearer(ctx, publicKey) {
  if (authorizationScheme(ctx) !== 'bearer') return true;
  return Boolean(validPayload(ctx.get('authorization').slice(7), publicKey));
}

/** Reading needs iam:admin.read, everything else iam:admin.write; the test's own token has both. */
function problemWithAdministrator(ctx, { config, accounts, publicKey }) {
  if (config.adminToken && ctx.get('authorization') === `Bearer ${config.adminToken}`) return undefined;
  const token = authorizationScheme(ctx) === 'bearer' ? ctx.get('authorization').slice(7) : '';
  const payload = validPayload(token, publicKey);
  if (!payload) {
    return [401, { error: 'unauthorized', error_description: 'Full authentication is required' }];
  }
  const needed = ctx.method === 'GET' ? 'iam:admin.read' : 'iam:admin.write';
  const isAdmin = accounts.withSubject(payload.sub)?.isAdmin;
  if (isAdmin && words(payload.scope).includes(needed)) return undefined;
  return [403, { error: 'insufficient_scope', error_description: `Insufficient scope: ${needed}` }];
}

function problemWith(body, has, method) {
  if (!body || typeof body !== 'object') return 'Required request body is missing';
  const asked = method === 'POST' ? 'registerClient' : 'updateClient';
  const name = String(body.client_name || '').trim();
  if (!name) return `${asked}.request.clientName: should not be blank`;
  if (name.length < 4 || name.length > 256) {
    return `${asked}.request.clientName: Invalid length: must be between 4 and 256 characters`;
  }
  if (method === 'POST' && (body.client_id || body.client_secret)) {
    return `${asked}.request.clientId: must be null`;
  }
  const grant = forbiddenGrant(body.grant_types, has?.grant_types);
  if (grant) return `Grant type not allowed: ${grant}`;
  const needsRedirect = !body.grant_types?.length || body.grant_types.includes('authorization_code');
  if (needsRedirect && !body.redirect_uris?.length) return 'Authorization code requires a valid redirect uri';
  return undefined;
}

/** Turns IAM's request into one the provider accepts, and adds what IAM adds by itself. */
function prepare(body, has) {
  for (const name of MANAGED) delete body[name];
  body.allowed_scope = registrableScope(body.scope);
  delete body.scope;
  body.redirect_uris ??= [];
  if (body.redirect_uris.length === 0) body.response_types = [];
  body.grant_types = body.grant_types?.length ? body.grant_types : ['authorization_code'];
  const wantsOffline = words(body.allowed_scope).includes('offline_access');
  if (wantsOffline && !body.grant_types.includes('refresh_token')) body.grant_types.push('refresh_token');
  body.reuse_refresh_token = has?.reuse_refresh_token ?? true;
  body.clear_access_tokens_on_refresh = true;
  body.allow_introspection = has?.allow_introspection ?? true;
  body.dynamically_registered = has?.dynamically_registered ?? true;
  body.active = true;
  body.created_at = has?.created_at ?? Date.now();
  // A PUT keeps the secret, whatever is sent.
  if (has) delete body.client_secret;
}

/**
 * The administrator's PUT replaces the whole client: a boolean that is not sent becomes false (and so
 * turns rotation on), and without `client_secret` the client has a secret that nobody knows.
 */
function replaced(client, sent) {
  const body = sent || {};
  const record = { ...client };
  for (const name of BOOLEANS) record[name] = body[name] === true;
  record.allowed_scope = body.scope || DEFAULT_SCOPE;
  record.grant_types = body.grant_types || [];
  record.client_name = body.client_name ?? client.client_name;
  record.client_description = body.client_description;
  record.redirect_uris = body.redirect_uris || [];
  record.secret_lost = !body.client_secret && client.token_endpoint_auth_method !== 'none';
  if (body.client_secret) record.client_secret = body.client_secret;
  if (record.secret_lost) record.client_secret = `${client.client_secret}, lost ${Math.random()}`;
  return record;
}

function shownClient(client) {
  const shown = {};
  for (const name of SHOWN) {
    const isEmpty = client[name] === undefined || (Array.isArray(client[name]) && client[name].length === 0);
    if (!isEmpty) shown[name] = client[name];
  }
  shown.scope = client.allowed_scope;
  if (client.secret_lost) delete shown.client_secret;
  return shown;
}

// A wrong registration token is stopped by Spring's filter, which repeats it.
function freeText(ctx) {
  if (ctx.status === 401) {
    const token = ctx.get('authorization').replace(/^Bearer /i, '');
    ctx.body = { error: 'invalid_token', error_description: `Invalid access token: ${token}` };
    return;
  }
  refuse(ctx, ctx.status, ctx.body?.error_description || ctx.body?.error || 'Bad request');
}

function refuse(ctx, status, text) {
  ctx.status = status;
  ctx.body = { error: text };
}
