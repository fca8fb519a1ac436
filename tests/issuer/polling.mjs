// Holds a client to the polling interval (RFC 8628 section 3.5), which the provider does not: a poll
// that comes too early is answered with slow_down and from then on has to wait five seconds longer.

const TOLERANCE_MS = 250;
const SLOWER_MS = 5000;
const LIMIT = 10_000;

/** Middleware; does nothing unless INTERVAL is set. */
export function enforceInterval({ config, deviceAuthorizationPath }) {
  const waits = new Map();
  return async (ctx, next) => {
    const code = ctx.state.asked.device_code;
    if (!config.pollIntervalSeconds || ctx.method !== 'POST') return next();
    if (ctx.path === '/token' && code && isTooEarly(waits.get(code))) {
      ctx.status = 400;
      ctx.body = { error: 'slow_down', error_description: 'you poll too often' };
      return undefined;
    }
    await next();
    if (ctx.path === deviceAuthorizationPath && ctx.status === 200) {
      remember(waits, ctx.body.device_code, config.pollIntervalSeconds * 1000);
      if (!config.isIam) ctx.body.interval = config.pollIntervalSeconds;
    }
    return undefined;
  };
}

function remember(waits, code, interval) {
  if (waits.size >= LIMIT) waits.clear();
  waits.set(code, { interval, last: Date.now() });
}

function isTooEarly(wait) {
  if (!wait) return false;
  const now = Date.now();
  const early = now - wait.last < wait.interval - TOLERANCE_MS;
  wait.last = now;
  if (early) wait.interval += SLOWER_MS;
  return early;
}
