// INDIGO IAM at the token endpoint: errors with Spring's names and texts (some repeat a secret),
// refresh tokens that are unsigned JWTs, and every granted scope in the reply.
import { clientRecord } from './client_rules.mjs';
import { oauthError } from './iam_replies.mjs';
import { unwrapRefreshToken, wrapRefreshToken } from './iam_refresh_token.mjs';
import { clientIdOf, requestIs } from './request_body.mjs';
import { OIDC_SCOPES, words } from './scopes.mjs';

const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

export function changeTokens({ storage, accounts }) {
  return async (ctx, next) => {
    if (!requestIs(ctx, 'POST', '/token')) return next();
    const form = ctx.req.body || {};
    const client = clientRecord(storage, clientIdOf(ctx));
    if (client?.active === false) {
      return oauthError(ctx, 401, 'invalid_client', `Client is suspended: ${client.client_id}`);
    }
    if (form.refresh_token) form.refresh_token = unwrapRefreshToken(String(form.refresh_token));
    if (isHeldBack(ctx, { storage, accounts, client, form })) return undefined;
    await next();
    if (ctx.status === 200) changeSuccess(ctx, storage);
    else changeError(ctx, storage);
    return undefined;
  };
}

/** A refresh for a user who may not have tokens now; the refresh token itself stays alive. */
function isHeldBack(ctx, { storage, accounts, client, form }) {
  if (form.grant_type === 'password') return wantsSignature(ctx, { accounts, client, form });
  const record = form.grant_type === 'refresh_token' && storage.get(`RefreshToken:${form.refresh_token}`);
  if (!record || record.clientId !== client?.client_id) return false;
  const account = accounts.withSubject(record.accountId);
  if (!account.active) {
    oauthError(ctx, 401, 'unauthorized', `User ${account.name} is not active.`);
    return true;
  }
  if (!account.signedAup) return askForSignature(ctx, account);
  return false;
}

/** Asked of who gave the right password, with a client that may ask for one. */
function wantsSignature(ctx, { accounts, client, form }) {
  const account = accounts.authenticate(form.username, form.password);
  if (!account || account.signedAup || !client?.grant_types.includes('password')) return false;
  return askForSignature(ctx, account);
}

function askForSignature(ctx, account) {
  const text = `User ${account.name} needs to sign AUP for this organization in order to proceed.`;
  oauthError(ctx, 400, 'invalid_grant', text);
  return true;
}

function changeSuccess(ctx, storage) {
  const { asked } = ctx.state;
  const { RefreshToken: refreshToken, DeviceCode: deviceCode } = ctx.oidc.entities;
  if (ctx.body.refresh_token) {
    const { exp } = storage.get(`RefreshToken:${ctx.body.refresh_token}`);
    ctx.body.refresh_token = wrapRefreshToken(ctx.body.refresh_token, exp);
  }
  const granted = words(asked.scope || deviceCode?.scope || refreshToken?.scope);
  const loginScopes = granted.filter((scope) => OIDC_SCOPES.includes(scope));
  ctx.body.scope = [...loginScopes, ...words(ctx.body.scope)].join(' ');
  // A second redeem fails and leaves the tokens of the first alive; the provider would end them.
  if (deviceCode) storage.remove(`DeviceCode:${asked.device_code}`);
}

function changeError(ctx, storage) {
  const { body, state: { asked } } = ctx;
  const isRefresh = asked.grant_type === 'refresh_token';
  const isDevice = asked.grant_type === DEVICE_GRANT;
  switch (body?.error) {
    case 'invalid_client':
      return oauthError(ctx, 401, 'unauthorized', 'Bad credentials');
    case 'invalid_target':
      return oauthError(ctx, 401, 'invalid_target', 'The requested resource was not originally granted');
    case 'authorization_pending':
      return oauthError(ctx, 400, body.error, `Authorization pending for code: ${asked.device_code}`);
    case 'expired_token':
      storage.remove(`DeviceCode:${asked.device_code}`);
      return oauthError(ctx, 400, body.error, `Device code has expired ${asked.device_code}`);
    case 'invalid_grant':
      if (isRefresh) return refreshTokenNotFound(ctx, asked);
      if (isDevice) return oauthError(ctx, 400, body.error, `Invalid device code: ${asked.device_code}`);
      return undefined;
    case 'invalid_scope':
      if (isRefresh) return oauthError(ctx, 400, body.error, 'Up-scoping is not allowed.');
      return undefined;
    case 'invalid_request':
      if (!/grant type is not allowed/.test(body.error_description)) return undefined;
      return oauthError(ctx, 401, 'invalid_client', `Unauthorized grant type: ${asked.grant_type}`);
    default:
      return undefined;
  }
}

function refreshTokenNotFound(ctx, asked) {
  const text = `Refresh token for value ${asked.refresh_token} was not found`;
  return oauthError(ctx, 401, 'invalid_token', text);
}
