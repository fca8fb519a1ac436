// INDIGO IAM at the device endpoint: `client_id` must be in the form, nobody has to authenticate, an
// unknown client is an empty 404, and an audience given here is forgotten (IamDeviceEndpointController).
import { clientRecord, scopeNotOnClient } from './client_rules.mjs';
import { emptyReply, oauthError } from './iam_replies.mjs';

const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

export function changeDeviceAuthorization({ storage, routes }) {
  return async (ctx, next) => {
    if (ctx.method !== 'POST' || ctx.path !== routes.device_authorization) return next();
    const form = ctx.req.body || {};
    if (form.client_id === undefined) return missingParameter(ctx);
    if (form.client_id === '') return emptyReply(ctx, 400);
    const client = clientRecord(storage, form.client_id);
    if (!client) return emptyReply(ctx, 404);
    if (!client.grant_types.includes(DEVICE_GRANT)) {
      return oauthError(ctx, 401, 'invalid_client', `Unauthorized grant type: ${DEVICE_GRANT}`);
    }
    if (scopeNotOnClient(client, form)) {
      const text = `One or more requested scope is not allowed for client '${form.client_id}'`;
      return oauthError(ctx, 400, 'invalid_scope', text);
    }
    delete form.audience;
    delete form.aud;
    form.scope ||= client.allowed_scope;
    authenticateAs(ctx, client);
    return next();
  };
}

// Spring's answer to a missing request parameter: not an OAuth error.
function missingParameter(ctx) {
  ctx.status = 400;
  ctx.body = { timestamp: Date.now(), status: 400, error: 'Bad Request', path: ctx.path };
}

// The provider insists on client authentication where IAM does not: give it what it wants.
function authenticateAs(ctx, client) {
  delete ctx.req.body.client_secret;
  delete ctx.req.headers.authorization;
  if (client.token_endpoint_auth_method === 'none') return;
  const pair = [client.client_id, client.client_secret].map(encodeURIComponent).join(':');
  ctx.req.headers.authorization = `Basic ${Buffer.from(pair).toString('base64')}`;
}
