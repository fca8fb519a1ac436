// What a test may ask and change behind the protocol's back: everything under /_test/, only with the
// header `x-test-token`. See README.md for the list.

import { setClock } from './clock.mjs';

/** Middleware for /_test/. */
export function serveControl({ config, recorder, accounts, storage }) {
  const routes = {
    'GET /_test/requests': () => recorder.entries,
    'GET /_test/counts': () => recorder.counts(),
    'GET /_test/clients': () => ({ count: storage.count('Client') }),
    'GET /_test/secrets': () => storage.secrets(),
    'POST /_test/clock': (ctx) => setClock(ctx.req.body?.seconds),
    'POST /_test/reset': () => {
      recorder.reset();
      return {};
    },
  };
  return async (ctx, next) => {
    if (!ctx.path.startsWith('/_test/')) return next();
    if (!config.adminToken || ctx.get('x-test-token') !== config.adminToken) {
      return answer(ctx, 403, { error: 'x-test-token is missing or wrong' });
    }
    const route = routes[`${ctx.method} ${ctx.path}`];
    if (route) return answer(ctx, 200, route(ctx));
    const user = ctx.method === 'POST' && /^\/_test\/users\/([^/]+)$/.exec(ctx.path);
    if (user) return changeUser(ctx, accounts.named(user[1]));
    return answer(ctx, 404, { error: 'no such control' });
  };
}

/**
 * {"active": false} suspends the user, {"signed_aup": false} makes IAM ask for the signature again,
 * {"second_factor": true} makes a password alone too little, {"claims": {...}} gives the user these
 * claims instead of the usual ones; null takes one away.
 */
function changeUser(ctx, account) {
  if (!account) return answer(ctx, 404, { error: 'no such user' });
  const { active, signed_aup: signedAup, second_factor: secondFactor, claims } = ctx.req.body || {};
  if (claims !== undefined) account.claims = claims;
  if (active !== undefined) account.active = Boolean(active);
  if (signedAup !== undefined) account.signedAup = Boolean(signedAup);
  if (secondFactor !== undefined) account.secondFactor = Boolean(secondFactor);
  return answer(ctx, 200, { name: account.name, sub: account.subject, active: account.active,
    signed_aup: account.signedAup, second_factor: account.secondFactor });
}

function answer(ctx, status, body) {
  ctx.status = status;
  ctx.set('cache-control', 'no-store');
  ctx.body = body;
}
