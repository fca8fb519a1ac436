// Reads the body of a request once, in front of the provider, because our layers must see and change
// it. The provider then takes `ctx.req.body` instead of the stream.

const LIMIT = 1 << 20;

/** Middleware: `ctx.req.body` may be changed by who comes later, `ctx.state.asked` is what was sent. */
export async function readBody(ctx, next) {
  if (!['GET', 'HEAD', 'DELETE', 'OPTIONS'].includes(ctx.method)) {
    const text = await readText(ctx.req);
    if (text === undefined) {
      ctx.status = 413;
      return;
    }
    ctx.req.body = parse(ctx, text);
  }
  ctx.state.asked = structuredClone(ctx.req.body ?? {});
  await next();
}

/** Is this request `method` on `path`? */
export function requestIs(ctx, method, path) {
  return ctx.method === method && ctx.path === path;
}

/** The scheme of the Authorization header in lower case, or none. */
export function authorizationScheme(ctx) {
  return (ctx.get('authorization').split(' ')[0] || 'none').toLowerCase();
}

/** The client that a request names, in its form or by HTTP Basic (RFC 6749 section 2.3.1). */
export function clientIdOf(ctx) {
  if (ctx.state.asked?.client_id) return String(ctx.state.asked.client_id);
  if (authorizationScheme(ctx) !== 'basic') return undefined;
  const decoded = Buffer.from(ctx.get('authorization').slice(6), 'base64').toString('utf8');
  try {
    return decodeURIComponent(decoded.split(':')[0].replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}

async function readText(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > LIMIT) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parse(ctx, text) {
  if (ctx.is('json')) {
    try {
      return JSON.parse(text);
    } catch {
      return undefined;
    }
  }
  if (ctx.is('urlencoded')) return formFields(new URLSearchParams(text));
  return undefined;
}

function formFields(parameters) {
  const fields = {};
  for (const name of new Set(parameters.keys())) {
    const values = parameters.getAll(name);
    fields[name] = values.length === 1 ? values[0] : values;
  }
  return fields;
}
