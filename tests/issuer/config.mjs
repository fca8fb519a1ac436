// The options of the test issuer, read once and checked: a typo should stop the start, not bend a test.
//
// Each option is an environment variable, or a key of one JSON object given as the only argument
// (the argument wins): node issuer.mjs '{"PORT": 9443, "SHAPE": "rfc", ...}'
//
//   HOST         address to bind                              127.0.0.1
//   PORT         port to bind, 0 takes a free one             0
//   ISSUER       issuer URL, no path but an optional slash    https://HOST:PORT/
//   CERT, KEY    PEM files of the server's certificate        required
//   SHAPE        indigo-iam | rfc                             indigo-iam
//   ROTATE       always | never | client                      always (rfc), client (indigo-iam)
//                "client": each client's own reuse_refresh_token decides
//   REUSE        kills | fails | grace: a rotated refresh token that is used   kills
//                again ends the whole family, or only fails itself, or is good
//                for a minute still and then ends the family
//   AT_TTL       seconds an access token lives                3600
//   RT_TTL       seconds a refresh token lives                2592000
//   DC_TTL       seconds a device code lives                  600
//   INTERVAL     seconds; set: polls that come sooner get slow_down (rfc also announces it)   off
//   DENIAL       signalled | silent: what a poll learns when the user denies    silent for indigo-iam
//   RESOURCE     free | granted: may `resource` at the token endpoint be new?   granted for indigo-iam
//   PROFILE      wlcg | iam: with iam the access token has no `scope` claim     wlcg
//   USERS        more users, "name:password,name:password"    none
//   ADMINS       users who administer the issuer, "name,name"    none
//   SECRETS      shown | once: does a client's secret come with every answer about it   shown
//   INITIAL_ACCESS_TOKEN  who registers a client in the rfc shape has to bring it    none
//   ADMIN_TOKEN  opens /_test/ and /iam/api/clients; unset: both stay shut
//   STAY         1: do not stop when stdin closes (for a service manager)       0
import { readFileSync } from 'node:fs';

const SHAPES = ['indigo-iam', 'rfc'];

export function readConfig(environment, argument) {
  const given = { ...environment, ...(argument ? JSON.parse(argument) : {}) };
  const shape = oneOf(given, 'SHAPE', SHAPES, 'indigo-iam');
  const isIam = shape === 'indigo-iam';
  return {
    shape,
    isIam,
    host: given.HOST || '127.0.0.1',
    port: wholeNumber(given, 'PORT', 0),
    issuer: issuerOf(given),
    certificate: readFileSync(required(given, 'CERT')),
    key: readFileSync(required(given, 'KEY')),
    rotate: oneOf(given, 'ROTATE', ['always', 'never', 'client'], isIam ? 'client' : 'always'),
    reuse: oneOf(given, 'REUSE', ['kills', 'fails', 'grace'], 'kills'),
    accessTokenSeconds: wholeNumber(given, 'AT_TTL', 3600),
    refreshTokenSeconds: wholeNumber(given, 'RT_TTL', 30 * 86400),
    deviceCodeSeconds: wholeNumber(given, 'DC_TTL', 600),
    pollIntervalSeconds: wholeNumber(given, 'INTERVAL', 0),
    denial: oneOf(given, 'DENIAL', ['signalled', 'silent'], isIam ? 'silent' : 'signalled'),
    resourceRule: oneOf(given, 'RESOURCE', ['free', 'granted'], isIam ? 'granted' : 'free'),
    profile: oneOf(given, 'PROFILE', ['wlcg', 'iam'], 'wlcg'),
    moreUsers: readUsers(given.USERS || ''),
    administrators: (given.ADMINS || '').split(',').filter(Boolean),
    secrets: oneOf(given, 'SECRETS', ['shown', 'once'], 'shown'),
    initialAccessToken: given.INITIAL_ACCESS_TOKEN || undefined,
    adminToken: given.ADMIN_TOKEN || undefined,
    stay: String(given.STAY || '0') === '1',
  };
}

/** The issuer URLs, known only once the port is: with and without the slash that INDIGO IAM plays with. */
export function issuerUrls(config, port) {
  const url = new URL(config.issuer || `https://${config.host}:${port}/`);
  if (url.protocol !== 'https:' || url.pathname !== '/' || url.search || url.hash) {
    throw new Error(`ISSUER must be https without a path: ${config.issuer}`);
  }
  const bare = url.origin;
  const asGiven = config.issuer && !config.issuer.endsWith('/') ? bare : `${bare}/`;
  return {
    host: url.host,
    announced: config.isIam ? `${bare}/` : asGiven,
    inTokens: config.isIam ? bare : asGiven,
  };
}

function issuerOf(given) {
  if (!given.ISSUER) return undefined;
  if (!Number(given.PORT)) throw new Error('ISSUER needs a PORT: who connects could not know it otherwise');
  return given.ISSUER;
}

function required(given, name) {
  if (!given[name]) throw new Error(`${name} is required`);
  return given[name];
}

function oneOf(given, name, allowed, fallback) {
  const value = given[name] || fallback;
  if (!allowed.includes(value)) throw new Error(`${name} must be one of ${allowed.join(', ')}: ${value}`);
  return value;
}

function wholeNumber(given, name, fallback) {
  const value = given[name] === undefined || given[name] === '' ? fallback : Number(given[name]);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${name} must be a whole number`);
  return value;
}

function readUsers(list) {
  const pairs = list.split(',').filter(Boolean).map((pair) => pair.split(':'));
  for (const pair of pairs) {
    if (pair.length !== 2 || !pair[0] || !pair[1]) throw new Error('USERS must be name:password,...');
  }
  return new Map(pairs);
}
