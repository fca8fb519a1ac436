// The layers that make the provider behave like INDIGO IAM 1.12; each module says what it departs in.
// They change a request before the provider sees it, and the reply after.
import { changeDeviceAuthorization } from './iam_device.mjs';
import { changeInspection } from './iam_inspection.mjs';
import { serveClientAdministration, changeRegistration } from './iam_registration.mjs';
import { changeTokens } from './iam_token.mjs';
import { OIDC_SCOPES, PLAIN_SCOPES } from './scopes.mjs';

export function serveIam(parts) {
  return [
    changeDiscovery(parts.urls),
    serveClientAdministration(parts),
    changeRegistration(parts),
    changeDeviceAuthorization(parts),
    changeTokens(parts),
    changeInspection(parts),
  ];
}

// The issuer ends with a slash here and nowhere else; path scopes and restricted ones are not listed;
// `password` is announced although hardly any client may use it. No RFC 8414 document.
function changeDiscovery(urls) {
  return async (ctx, next) => {
    if (ctx.path === '/.well-known/oauth-authorization-server') return;
    await next();
    if (ctx.path !== '/.well-known/openid-configuration') return;
    Object.assign(ctx.body, {
      issuer: urls.announced,
      scim_endpoint: `${urls.announced}scim`,
      scopes_supported: [...OIDC_SCOPES, ...PLAIN_SCOPES],
      grant_types_supported: ['authorization_code', 'implicit', 'refresh_token', 'client_credentials',
        'password', 'urn:ietf:params:oauth:grant-type:token-exchange',
        'urn:ietf:params:oauth:grant-type:device_code'],
      code_challenge_methods_supported: ['plain', 'S256'],
    });
  };
}
