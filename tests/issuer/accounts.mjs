// Who can sign in. alice, bob, carol and any user1, user2, ... have the password NAME-pw.
// The subject is a UUID as in INDIGO IAM, never the name: code that mixes them up must fail here.
import { createHash } from 'node:crypto';

const NAMED = /^(alice|bob|carol|user\d{1,6})$/;
const GROUPS = { alice: ['/wlcg', '/wlcg/test'], bob: ['/wlcg'] };

export class Accounts {
  constructor(moreUsers, administrators = []) {
    this.moreUsers = moreUsers;
    this.administrators = administrators;
    this.byName = new Map();
    this.bySubject = new Map();
  }

  named(name) {
    if (!this.moreUsers.has(name) && !NAMED.test(name)) return undefined;
    if (!this.byName.has(name)) this.add(name);
    return this.byName.get(name);
  }

  withSubject(subject) {
    return this.bySubject.get(subject);
  }

  /** The account if the password is right, else undefined. */
  authenticate(name, password) {
    const account = this.named(String(name));
    const right = this.moreUsers.get(name) ?? `${name}-pw`;
    return account && password === right ? account : undefined;
  }

  add(name) {
    const account = {
      name,
      subject: subjectOf(name),
      groups: GROUPS[name] || ['/wlcg'],
      isAdmin: this.administrators.includes(name),
      // These are turned by POST /_test/users/NAME.
      active: true,
      signedAup: true,
      // More claims or others, likewise; null takes one away.
      claims: {},
      secondFactor: false,
    };
    this.byName.set(name, account);
    this.bySubject.set(account.subject, account);
  }
}

/** The claims of `account`; the provider picks those that the granted scopes allow. */
export function claimsOf(account) {
  const claims = {
    name: account.name,
    preferred_username: account.name,
    email: `${account.name}@example.org`,
    email_verified: true,
    ...account.claims,
    sub: account.subject,
  };
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== null));
}

export function subjectOf(name) {
  const hex = createHash('sha256').update(`iamd test subject ${name}`).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), `4${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`,
    hex.slice(20, 32)].join('-');
}
