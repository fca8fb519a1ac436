// The certified provider (npm oidc-provider) and how it is set up to issue WLCG-like tokens.
// What it cannot be configured to do is in the neighbours: narrowing.mjs, password_grant.mjs, pages.mjs.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { Provider } from 'oidc-provider';

import { claimsOf } from './accounts.mjs';
import {
  ANY_AUDIENCE, audienceClaim, audienceOf, resourceForAudiences, resourceServerInfo,
} from './audience.mjs';
import { interactionUrl, devicePages } from './pages.mjs';
import { allowNarrowing } from './narrowing.mjs';
import { addPasswordGrant } from './password_grant.mjs';
import { ADMIN_SCOPES, OIDC_SCOPES, PLAIN_SCOPES, isResourceScope, words } from './scopes.mjs';

const IAM_ROUTES = {
  device_authorization: '/devicecode',
  code_verification: '/device',
  registration: '/iam/api/client-registration',
  revocation: '/revoke',
  introspection: '/introspect',
  jwks: '/jwk',
  authorization: '/authorize',
  userinfo: '/userinfo',
};
const RFC_ROUTES = {
  device_authorization: '/device/auth',
  code_verification: '/device',
  registration: '/reg',
  revocation: '/token/revocation',
  introspection: '/token/introspection',
  jwks: '/jwks',
  authorization: '/auth',
  userinfo: '/me',
};

/** What we remember about a client that the provider does not know of. */
export const CLIENT_EXTRAS = ['allowed_scope', 'client_description', 'reuse_refresh_token',
  'clear_access_tokens_on_refresh', 'allow_introspection', 'active', 'dynamically_registered',
  'created_at', 'secret_lost'];

export function routesOf(config) {
  return config.isIam ? IAM_ROUTES : RFC_ROUTES;
}

export function createProvider({ config, urls, accounts, storage }) {
  const signingKey = newSigningKey();
  const provider = new Provider(urls.inTokens, {
    adapter: storage.adapter(),
    jwks: { keys: [signingKey] },
    cookies: { keys: [randomBytes(24).toString('hex')] },
    routes: routesOf(config),
    scopes: [...OIDC_SCOPES, ...PLAIN_SCOPES, ...ADMIN_SCOPES],
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username'],
      email: ['email', 'email_verified'],
    },
    // INDIGO IAM's ID tokens have the claims of their scopes; without this they would have only the
    // subject, and the rest be asked of the userinfo endpoint.
    conformIdTokenClaims: !config.isIam,
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'none', 'private_key_jwt'],
    extraClientMetadata: { properties: CLIENT_EXTRAS },
    features: features(config),
    formats: { customizers: { jwt: (ctx, token, jwt) => shapeAccessToken(config, jwt.payload) } },
    ttl: lifetimes(config),
    pkce: { required: () => false },
    rotateRefreshToken: (ctx) => rotates(config, ctx.oidc.client),
    issueRefreshToken: async (ctx, client, source) => (
      client.grantTypeAllowed('refresh_token') && source.scopes.has('offline_access')),
    expiresWithSession: async () => false,
    loadExistingGrant: grantOfThisLogin,
    extraTokenClaims: (ctx, token) => wlcgClaims(accounts, token),
    findAccount: async (ctx, subject) => findAccount(accounts, subject),
    interactions: { url: interactionUrl },
  });
  allowNarrowing(provider, config);
  if (config.reuse === 'fails') {
    provider.on('refresh_token.consumed', (token) => storage.remove(`RefreshToken:${token.jti}`));
  }
  addPasswordGrant(provider, { config, accounts });
  return { provider, signingKey };
}

function features(config) {
  return {
    devInteractions: { enabled: false },
    deviceFlow: {
      enabled: true,
      charset: 'base-20',
      mask: config.isIam ? '******' : '****-****',
      ...devicePages,
    },
    registration: {
      enabled: true,
      issueRegistrationAccessToken: true,
      ...(config.initialAccessToken && { initialAccessToken: config.initialAccessToken }),
    },
    registrationManagement: { enabled: true, rotateRegistrationAccessToken: !config.isIam },
    revocation: { enabled: true },
    introspection: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: async (ctx, client, several) => (
        several ? resourceForAudiences(several.map(audienceOf)) : ANY_AUDIENCE),
      useGrantedResource: async () => true,
      getResourceServerInfo: async (ctx, resource) => (
        resourceServerInfo(config, resource, mentionedScopes(ctx))),
    },
  };
}

// Paths are without number, so the scopes of "the resource server" are those this request speaks of.
function mentionedScopes(ctx) {
  const { params, entities } = ctx.oidc;
  const texts = [params.scope, entities.DeviceCode?.scope, entities.RefreshToken?.scope];
  return [...new Set(texts.flatMap(words).filter(isResourceScope))];
}

// A browser that signs in for two devices would put both into one grant, and the reuse of one
// refresh token would end the other's too. Here each login is a family of its own.
async function grantOfThisLogin(ctx) {
  const grantId = ctx.oidc.result?.consent?.grantId;
  return grantId ? ctx.oidc.provider.Grant.find(grantId) : undefined;
}

function rotates(config, client) {
  if (config.rotate === 'client') return client.reuse_refresh_token === false;
  return config.rotate === 'always';
}

function shapeAccessToken(config, payload) {
  payload.aud = audienceClaim(payload.aud);
  payload.nbf = payload.iat;
  // INDIGO IAM's default profile: a client learns its scopes from the reply, not from the token.
  if (config.profile === 'iam') delete payload.scope;
}

function wlcgClaims(accounts, token) {
  if (token.kind !== 'AccessToken') return undefined;
  const asksGroups = words(token.scope).some((scope) => scope.startsWith('wlcg.groups'));
  const groups = accounts.withSubject(token.accountId)?.groups;
  return { 'wlcg.ver': '1.0', ...(asksGroups && groups ? { 'wlcg.groups': groups } : {}) };
}

function findAccount(accounts, subject) {
  const account = accounts.withSubject(subject);
  return account && { accountId: subject, claims: async () => claimsOf(account) };
}

function lifetimes(config) {
  return {
    AccessToken: config.accessTokenSeconds,
    RefreshToken: config.refreshTokenSeconds,
    DeviceCode: config.deviceCodeSeconds,
    Grant: Math.max(config.refreshTokenSeconds, 86400),
    IdToken: 600,
    Interaction: 600,
    Session: 3600,
  };
}

function newSigningKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: 'run' };
}
