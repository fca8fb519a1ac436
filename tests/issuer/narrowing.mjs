// A refresh may ask for less than was granted: a sub-path of a granted path, another audience. The
// provider compares scopes and resources word by word; these overrides make it understand paths.
import { Provider } from 'oidc-provider';

import { isFreeAudience } from './audience.mjs';
import { isCovered, words } from './scopes.mjs';

export function allowNarrowing(provider, config) {
  override(provider.RefreshToken.prototype, 'scopes', scopesWithSubPaths);
  for (const model of [provider.RefreshToken, provider.DeviceCode]) {
    override(model.prototype, 'resourceIndicators', function resources() {
      return { has: (resource) => mayUseResource(config, this.resource, resource) };
    });
  }
  provider.Grant.prototype.getResourceScopeFiltered = grantedFor;
}

function override(prototype, name, getter) {
  Object.defineProperty(prototype, name, { configurable: true, get: getter });
}

/** The token's scopes, and of those this request asks for the ones that lie below them. */
function scopesWithSubPaths() {
  const granted = words(this.scope);
  const asked = Provider.ctx?.oidc?.requestParamScopes ?? [];
  return new Set([...granted, ...[...asked].filter((scope) => isCovered(scope, granted))]);
}

function mayUseResource(config, granted, resource) {
  if (isFreeAudience(resource) || config.resourceRule === 'free') return true;
  return [granted].flat().includes(resource);
}

/** Grant.getResourceScopeFiltered: what was granted for one audience holds for every audience. */
function grantedFor(resource, wanted) {
  const granted = Object.values(this.resources ?? {}).flatMap(words);
  return [...wanted].filter((scope) => isCovered(scope, granted)).join(' ');
}
