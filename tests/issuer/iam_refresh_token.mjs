// INDIGO IAM's refresh tokens are JWTs without signature that carry `exp` and `jti`. Ours wrap the
// provider's opaque token as the `jti`; the same token always wraps to the same text.

const HEADER = encode({ alg: 'none' });

export function wrapRefreshToken(token, expiresAt) {
  return `${HEADER}.${encode({ exp: expiresAt, jti: token })}.`;
}

/** The provider's token; a text that is no such JWT is returned as it is, and will not be found. */
export function unwrapRefreshToken(text) {
  const parts = text.split('.');
  if (parts.length !== 3 || parts[2] !== '') return text;
  try {
    return JSON.parse(Buffer.from(parts[1], 'base64url').toString()).jti ?? text;
  } catch {
    return text;
  }
}

function encode(object) {
  return Buffer.from(JSON.stringify(object)).toString('base64url');
}
