// Which scopes and grants a client may have. The provider knows only a fixed list of scopes, so the
// scopes of a client are kept by us (`allowed_scope`) and checked here, for both shapes.
import { requestIs } from './request_body.mjs';
import { RESTRICTED_SCOPES, isCovered, isKnownScope, words } from './scopes.mjs';

const NEED_AN_ADMIN = ['password', 'urn:ietf:params:oauth:grant-type:token-exchange'];
export const DEFAULT_SCOPE = 'openid profile email offline_access';

/** The grant a client may not give itself, or undefined; what it already has it may keep. */
export function forbiddenGrant(asked, has = []) {
  return (asked || []).find((grant) => NEED_AN_ADMIN.includes(grant) && !has.includes(grant));
}

/** INDIGO IAM keeps quiet about the scopes it takes away from a registration. */
export function registrableScope(text) {
  const kept = words(text).filter((scope) => isKnownScope(scope) && !RESTRICTED_SCOPES.includes(scope));
  return kept.length > 0 ? kept.join(' ') : DEFAULT_SCOPE;
}

/** Middleware for the rfc shape: RFC 7591 registration, and scopes at the device endpoint. */
export function checkClients({ storage, routes }) {
  const isRegistration = (ctx) => ctx.path === routes.registration
    || ctx.path.startsWith(`${routes.registration}/`);
  return async (ctx, next) => {
    if (requestIs(ctx, 'POST', routes.device_authorization)) return checkDeviceScopes(ctx, next, storage);
    return isRegistration(ctx) ? register(ctx, next, storage) : next();
  };
}

/** A scope of `form` that `client` does not have, or undefined. */
export function scopeNotOnClient(client, form) {
  const allowed = words(client?.allowed_scope);
  return client && words(form.scope).find((scope) => !isCovered(scope, allowed));
}

export function clientRecord(storage, id) {
  return storage.get(`Client:${id}`);
}

async function checkDeviceScopes(ctx, next, storage) {
  const refused = scopeNotOnClient(clientRecord(storage, ctx.req.body?.client_id), ctx.req.body || {});
  if (!refused) return next();
  ctx.status = 400;
  ctx.body = { error: 'invalid_scope', error_description: 'requested scope is not allowed', scope: refused };
  return undefined;
}

async function register(ctx, next, storage) {
  const metadata = ctx.req.body;
  if (metadata && typeof metadata === 'object') {
    const has = clientRecord(storage, ctx.path.split('/').pop())?.grant_types;
    const problem = problemWith(metadata, has);
    if (problem) {
      ctx.status = 400;
      ctx.body = { error: 'invalid_client_metadata', error_description: problem };
      return;
    }
    moveScope(metadata);
  }
  await next();
  if (ctx.body?.client_id) showScope(ctx.body);
}

function problemWith(metadata, has) {
  const grant = forbiddenGrant(metadata.grant_types, has);
  if (grant) return `grant_types must not contain ${grant}: ask an administrator`;
  const unknown = words(metadata.scope)
    .find((scope) => !isKnownScope(scope) || RESTRICTED_SCOPES.includes(scope));
  return unknown && `scope must only contain supported values, not ${unknown}`;
}

// A device client has no redirect URIs; the provider's default response type would demand one.
function moveScope(metadata) {
  metadata.allowed_scope = metadata.scope || DEFAULT_SCOPE;
  delete metadata.scope;
  metadata.redirect_uris ??= [];
  if (metadata.redirect_uris.length === 0) metadata.response_types ??= [];
}

function showScope(body) {
  body.scope = body.allowed_scope;
  delete body.allowed_scope;
}
