// The scopes this issuer knows and when one contains another (WLCG token profile: storage scopes carry
// a path). Pure functions: everything that decides about a scope decides here.

export const OIDC_SCOPES = ['openid', 'offline_access', 'profile', 'email'];
export const PLAIN_SCOPES = ['wlcg', 'wlcg.groups',
  'compute.read', 'compute.create', 'compute.modify', 'compute.cancel'];

/** Not for a client that registered itself: INDIGO IAM removes them without a word. */
export const RESTRICTED_SCOPES = ['scim:read', 'scim:write', 'iam:admin.read', 'iam:admin.write'];

/** For administrators of the issuer only, with a client that another one gave them to. */
export const ADMIN_SCOPES = ['iam:admin.read', 'iam:admin.write'];

const STORAGE = /^(storage\.(?:read|modify|create|stage)):(\/[^\s]*)$/;
const GROUP = /^wlcg\.groups:\/[A-Za-z0-9][A-Za-z0-9_./-]*$/;

export function words(text) {
  return String(text || '').split(' ').filter(Boolean);
}

/** A scope that goes into the access token for a resource, not one of OpenID Connect. */
export function isResourceScope(scope) {
  return PLAIN_SCOPES.includes(scope) || ADMIN_SCOPES.includes(scope) || GROUP.test(scope) || isStoragePath(scope);
}

/** What of `scopes` this person may have: an administrator's only if they are one. */
export function scopesFor(account, scopes) {
  return scopes.filter((scope) => account?.isAdmin || !ADMIN_SCOPES.includes(scope));
}

export function isKnownScope(scope) {
  return OIDC_SCOPES.includes(scope) || isResourceScope(scope);
}

/**
 * Is `wanted` contained in one of `granted`? A path contains itself and what lies below it:
 * storage.read:/a contains storage.read:/a/b, and not storage.read:/ab.
 */
export function isCovered(wanted, granted) {
  return [...granted].some((scope) => scope === wanted || containsPath(scope, wanted));
}

function isStoragePath(scope) {
  const match = STORAGE.exec(scope);
  return match !== null && !match[2].split('/').includes('..');
}

function containsPath(outer, inner) {
  if (!isStoragePath(outer) || !isStoragePath(inner)) return false;
  const [, outerKind, outerPath] = STORAGE.exec(outer);
  const [, innerKind, innerPath] = STORAGE.exec(inner);
  const below = outerPath.endsWith('/') ? outerPath : `${outerPath}/`;
  return outerKind === innerKind && (innerPath.startsWith(below) || `${innerPath}/` === below);
}
