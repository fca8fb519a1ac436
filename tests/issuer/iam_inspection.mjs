// INDIGO IAM where tokens are looked at or ended: it takes JWT access tokens at /introspect, /revoke
// and /userinfo, which the provider refuses, and answers 403 to who revokes another client's token.
import { createPublicKey, verify } from 'node:crypto';

import { claimsOf } from './accounts.mjs';
import { emptyReply } from './iam_replies.mjs';
import { unwrapRefreshToken } from './iam_refresh_token.mjs';
import { authorizationScheme, requestIs } from './request_body.mjs';

export function changeInspection({ accounts, routes, signingKey }) {
  const publicKey = createPublicKey({ key: signingKey, format: 'jwk' });
  return async (ctx, next) => {
    if (ctx.path === routes.userinfo) return userinfo(ctx, next, { accounts, publicKey });
    const revokes = requestIs(ctx, 'POST', routes.revocation);
    const introspects = requestIs(ctx, 'POST', routes.introspection);
    const form = ctx.req.body;
    if (!(revokes || introspects) || !form?.token) return next();
    form.token = unwrapRefreshToken(String(form.token));
    await next();
    if (revokes) afterRevocation(ctx);
    else if (isRefusedJwt(ctx)) introspectJwt(ctx, publicKey);
    return undefined;
  };
}

function afterRevocation(ctx) {
  if (isRefusedJwt(ctx)) emptyReply(ctx, 200);
  else if (/not authorized to revoke/.test(ctx.body?.error_description)) emptyReply(ctx, 403);
}

// The provider says so only after it has authenticated the client.
function isRefusedJwt(ctx) {
  return ctx.body?.error === 'unsupported_token_type';
}

function introspectJwt(ctx, publicKey) {
  const payload = validPayload(String(ctx.state.asked.token), publicKey);
  ctx.status = 200;
  ctx.body = payload
    ? { active: true, ...payload, expires_at: new Date(payload.exp * 1000).toISOString() }
    : { active: false };
}

async function userinfo(ctx, next, { accounts, publicKey }) {
  const token = authorizationScheme(ctx) === 'bearer' ? ctx.get('authorization').slice(7) : '';
  const payload = validPayload(token, publicKey);
  const account = payload && accounts.withSubject(payload.sub);
  if (!account) return next();
  ctx.body = claimsOf(account);
  return undefined;
}

/** The claims of an access token of ours that is good now, or undefined. */
export function validPayload(token, publicKey) {
  const [header, payload, signature] = token.split('.');
  if (!signature) return undefined;
  const signed = Buffer.from(`${header}.${payload}`);
  if (!verify('RSA-SHA256', signed, publicKey, Buffer.from(signature, 'base64url'))) return undefined;
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
  return claims.exp > Date.now() / 1000 ? claims : undefined;
}
