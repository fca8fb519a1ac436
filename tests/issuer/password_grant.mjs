// The resource owner password grant (RFC 6749 section 4.3), for the clients that an administrator
// allowed it. The provider leaves it out, rightly (RFC 9700 section 2.4); INDIGO IAM still has it.
import { errors } from 'oidc-provider';

import { claimsOf } from './accounts.mjs';
import { ANY_AUDIENCE, resourceServerInfo } from './audience.mjs';
import { isCovered, isResourceScope, scopesFor, words } from './scopes.mjs';

const PARAMETERS = ['username', 'password', 'scope', 'resource'];

export function addPasswordGrant(provider, { config, accounts }) {
  const handler = async (ctx) => {
    const { params, client } = ctx.oidc;
    const account = accounts.authenticate(params.username, params.password);
    if (!account) throw notGranted('Bad credentials');
    if (!account.active) throw notGranted('User is disabled');
    if (account.secondFactor) throw notGranted('Multi-factor authentication is required');
    const scopes = scopesFor(account, allowedScopes(client, words(params.scope)));
    const resource = params.resource || ANY_AUDIENCE;
    const grantId = await saveGrant(provider, { account, client, scopes, resource });
    const source = { accountId: account.subject, client, grantId, gty: 'password' };

    const resourceScopes = scopes.filter(isResourceScope);
    const accessToken = new provider.AccessToken({ ...source, scope: resourceScopes.join(' ') });
    const info = resourceServerInfo(config, resource, resourceScopes);
    accessToken.resourceServer = new provider.ResourceServer(resource, info);
    ctx.oidc.entity('AccessToken', accessToken);

    ctx.body = {
      access_token: await accessToken.save(),
      expires_in: accessToken.expiration,
      scope: accessToken.scope,
      token_type: 'Bearer',
    };
    if (scopes.includes('offline_access') && client.grantTypeAllowed('refresh_token')) {
      const refreshToken = new provider.RefreshToken(
        { ...source, scope: scopes.join(' '), resource, rotations: 0 });
      ctx.oidc.entity('RefreshToken', refreshToken);
      ctx.body.refresh_token = await refreshToken.save();
    }
    if (scopes.includes('openid')) ctx.body.id_token = await idToken(provider, ctx, account, scopes);
  };
  provider.registerGrantType('password', handler, PARAMETERS);
}

function notGranted(text) {
  const error = new errors.InvalidGrant(text);
  error.error_description = text;
  return error;
}

function allowedScopes(client, asked) {
  const allowed = words(client.allowed_scope);
  const refused = asked.find((scope) => !isCovered(scope, allowed));
  if (refused) throw new errors.InvalidScope('requested scope is not allowed', refused);
  return asked.length > 0 ? asked : allowed;
}

async function saveGrant(provider, { account, client, scopes, resource }) {
  const grant = new provider.Grant({ accountId: account.subject, clientId: client.clientId });
  grant.addOIDCScope(scopes.filter((scope) => !isResourceScope(scope)).join(' '));
  grant.addResourceScope(resource, scopes.filter(isResourceScope).join(' '));
  return grant.save();
}

async function idToken(provider, ctx, account, scopes) {
  const token = new provider.IdToken(claimsOf(account), { ctx });
  token.scope = scopes.filter((scope) => !isResourceScope(scope)).join(' ');
  return token.issue({ use: 'idtoken' });
}
