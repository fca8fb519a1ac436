// The provider's memory. Its own in-memory store forgets after 1000 entries, which a bench with
// thousands of users would take for revoked tokens; and it forgets a device code in the second it
// expires, so that nobody would ever see `expired_token`. This one has neither limit.

import { wrapRefreshToken } from './iam_refresh_token.mjs';

/** What an `Authorization: Basic` of this client has, but for the padding (RFC 6749 section 2.3.1). */
function basic(id, secret) {
  const [user, password] = [id, secret].map((part) => new URLSearchParams({ _: part }).toString().slice(2));
  return Buffer.from(`${user}:${password}`).toString('base64').replace(/=+$/, '');
}

// The models whose identifier is the secret itself.
const SECRET_IDS = ['AccessToken', 'RefreshToken', 'DeviceCode', 'RegistrationAccessToken'];

const KEEP_EXPIRED_MS = 300_000;
const SWEEP_EVERY_MS = 60_000;

export class Storage {
  /** `graceMs`: how long a refresh token that was used is as good as new. */
  constructor({ graceMs = 0 } = {}) {
    this.graceMs = graceMs;
    this.records = new Map();
    this.byGrant = new Map();
    this.byUserCode = new Map();
    this.bySessionUid = new Map();
    setInterval(() => this.sweep(), SWEEP_EVERY_MS).unref();
  }

  /** What oidc-provider asks for: an adapter per model name. */
  adapter() {
    return (model) => new Adapter(this, model);
  }

  get(key) {
    const record = this.records.get(key);
    if (!record) return undefined;
    if (record.forgetAt > Date.now()) return record.payload;
    this.remove(key);
    return undefined;
  }

  put(key, payload, seconds) {
    this.remove(key);
    const forgetAt = seconds ? Date.now() + seconds * 1000 + KEEP_EXPIRED_MS : Infinity;
    this.records.set(key, { payload, forgetAt });
    if (payload.userCode) this.byUserCode.set(payload.userCode, key);
    if (key.startsWith('Session:')) this.bySessionUid.set(payload.uid, key);
    if (payload.grantId) this.members(payload.grantId).add(key);
  }

  remove(key) {
    const payload = this.records.get(key)?.payload;
    if (!payload) return;
    this.records.delete(key);
    if (this.byUserCode.get(payload.userCode) === key) this.byUserCode.delete(payload.userCode);
    if (this.bySessionUid.get(payload.uid) === key) this.bySessionUid.delete(payload.uid);
    const family = this.byGrant.get(payload.grantId);
    family?.delete(key);
    if (family?.size === 0) this.byGrant.delete(payload.grantId);
  }

  members(grantId) {
    if (!this.byGrant.has(grantId)) this.byGrant.set(grantId, new Set());
    return this.byGrant.get(grantId);
  }

  count(model) {
    let found = 0;
    for (const key of this.records.keys()) if (key.startsWith(`${model}:`)) found += 1;
    return found;
  }

  /** Everything that whoever holds it could use: what must stand nowhere but with its owner. */
  secrets() {
    const found = new Set();
    for (const [key, { payload }] of this.records) {
      const [model, id] = key.split(/:(.*)/s);
      if (SECRET_IDS.includes(model)) found.add(id);
      if (model === 'RefreshToken') found.add(wrapRefreshToken(id, payload.exp));
      if (payload.client_secret) {
        found.add(payload.client_secret);
        found.add(basic(payload.client_id, payload.client_secret));
      }
    }
    return [...found];
  }

  sweep() {
    const now = Date.now();
    for (const [key, record] of this.records) if (record.forgetAt <= now) this.remove(key);
  }
}

// The method names are oidc-provider's contract for adapters.
class Adapter {
  constructor(storage, model) {
    this.storage = storage;
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload, seconds) {
    this.storage.put(this.key(id), payload, seconds);
  }

  async find(id) {
    return this.storage.get(this.key(id));
  }

  async findByUserCode(userCode) {
    return this.storage.get(this.storage.byUserCode.get(userCode));
  }

  async findByUid(uid) {
    return this.storage.get(this.storage.bySessionUid.get(uid));
  }

  async consume(id) {
    const payload = this.storage.get(this.key(id));
    if (!payload) return;
    const mark = () => { payload.consumed = Math.floor(Date.now() / 1000); };
    if (this.model === 'RefreshToken' && this.storage.graceMs) setTimeout(mark, this.storage.graceMs).unref();
    else mark();
  }

  async destroy(id) {
    this.storage.remove(this.key(id));
  }

  /** Ends a token family. A Grant itself is not a member: the provider removes it by its id. */
  async revokeByGrantId(grantId) {
    for (const key of [...(this.storage.byGrant.get(grantId) || [])]) {
      if (key.startsWith(`${this.model}:`)) this.storage.remove(key);
    }
  }
}
