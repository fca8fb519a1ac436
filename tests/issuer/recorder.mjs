// Remembers every request at a protocol endpoint, so that a test can prove what a client did not do:
// no second refresh, no early poll, no scope too many. Secrets are kept as hashes only.
import { createHash } from 'node:crypto';

import { authorizationScheme, clientIdOf } from './request_body.mjs';

const LIMIT = 200_000;
const PAGES = /^\/(_test|interaction|device$|device\/(?!auth$))/;

export class Recorder {
  constructor() {
    this.entries = [];
  }

  /** Middleware: the entry is there on arrival with status null, and is completed by the reply. */
  middleware() {
    return async (ctx, next) => {
      if (PAGES.test(ctx.path) || this.entries.length >= LIMIT) return next();
      const entry = entryOf(ctx);
      this.entries.push(entry);
      try {
        await next();
        entry.status = ctx.status;
      } catch (error) {
        entry.status = error.status || 500;
        throw error;
      }
    };
  }

  /** {"POST /token refresh_token": 3, ...}; a client's own URL counts as {id}. */
  counts() {
    const counts = {};
    for (const entry of this.entries) {
      const path = entry.path.replace(/^(\/iam\/api\/[a-z-]+|\/reg)\/[^/]+/, '$1/{id}');
      const name = [entry.method, path, shortGrant(entry.grant_type)].filter(Boolean).join(' ');
      counts[name] = (counts[name] || 0) + 1;
    }
    return counts;
  }

  reset() {
    this.entries = [];
  }
}

function entryOf(ctx) {
  const form = ctx.state.asked;
  return {
    time_ms: Date.now(),
    method: ctx.method,
    path: ctx.path,
    grant_type: form.grant_type ?? null,
    client_id: clientIdOf(ctx) ?? null,
    scope: form.scope ?? null,
    audience: form.audience ?? form.aud ?? null,
    resource: form.resource ?? null,
    status: null,
    refresh_token_sha256: hash(form.refresh_token),
    device_code_sha256: hash(form.device_code),
    authorization_scheme: authorizationScheme(ctx),
    // Of a registration: what is in it.
    members: ctx.is('json') ? Object.keys(form).sort() : null,
    client_name: form.client_name ?? null,
    redirect_uris: form.redirect_uris ?? null,
  };
}

function hash(secret) {
  return secret ? createHash('sha256').update(String(secret)).digest('hex') : null;
}

function shortGrant(grantType) {
  return grantType ? String(grantType).replace('urn:ietf:params:oauth:grant-type:', '') : undefined;
}
