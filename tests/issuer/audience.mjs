// INDIGO IAM's `audience` on top of a provider that knows only `resource` (RFC 8707). An audience is
// any list of words; it travels through the provider as one resource of our own making.

export const ANY_AUDIENCE = 'https://wlcg.cern.ch/jwt/v1/any';

const PREFIX = 'urn:iamd-test-audience:';

/** The resource that stands for these audiences (space separated, or a list). */
export function resourceForAudiences(audiences) {
  const list = [audiences].flat().flatMap((text) => String(text).split(' ')).filter(Boolean);
  return PREFIX + encodeURIComponent(list.join(' '));
}

/** True for a resource made from `audience`, which a client may choose freely at each request. */
export function isFreeAudience(resource) {
  return String(resource).startsWith(PREFIX);
}

/** The audience of a resource; several are one text, separated by spaces. */
export function audienceOf(resource) {
  return isFreeAudience(resource) ? decodeURIComponent(resource.slice(PREFIX.length)) : resource;
}

/** The `aud` claim: a text for one audience, an array for several. */
export function audienceClaim(audience) {
  const list = audience.split(' ');
  return list.length === 1 ? list[0] : list;
}

/** A signed JWT for `resource`; its scopes can only be some of `scopes`. */
export function resourceServerInfo(config, resource, scopes) {
  return {
    audience: audienceOf(resource),
    scope: scopes.join(' '),
    accessTokenTTL: config.accessTokenSeconds,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: 'RS256' } },
  };
}

/** Middleware: turns `audience` or `aud` of a form into `resource`; `resource` wins if it is there. */
export function mapAudience(paths) {
  return async (ctx, next) => {
    const form = ctx.req.body;
    if (ctx.method === 'POST' && paths.includes(ctx.path) && form) {
      const audience = form.aud || form.audience;
      if (audience && !form.resource) form.resource = resourceForAudiences(audience);
    }
    await next();
  };
}
