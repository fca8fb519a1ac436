// Which request meets which fault. A rule is {"match": {...}, "fault": {"KIND": {...}}}:
//   match.path        exact path, or a prefix that ends with *
//   match.method      optional
//   match.grant_type  optional; device_code means the long URN too
//   match.nth         optional: the first nth - 1 matching requests are spared
//   match.count       optional: how many are hit; 1 if nth is given, else all
// `fault` may be only the name of the kind if it needs no arguments.

const NEEDED = {
  latency: ['ms'],
  blackhole: [],
  reset_before: [],
  reset_after: [],
  status: ['code'],
  html: [],
  truncate: ['bytes'],
  oversize: ['bytes'],
  redirect: ['location'],
  content_type: ['value'],
  replace_json: [],
  empty: [],
  slow_body: ['bytes_per_s'],
};
const MATCH_KEYS = ['path', 'method', 'grant_type', 'nth', 'count'];
const URN = 'urn:ietf:params:oauth:grant-type:';

/** A rule that makes no sense; its message is for the person who wrote the test. */
export class RuleError extends Error {}

export class Rules {
  constructor() {
    this.rules = [];
  }

  /** Takes a new list of rules, with new counters; throws a RuleError and keeps the old one. */
  replace(list) {
    if (!Array.isArray(list)) throw new RuleError('a JSON list of rules is expected');
    this.rules = list.map(readRule);
    return this.list();
  }

  /** The rules with `matched` (requests it looked at and fitted) and `applied` (those it hit). */
  list() {
    return this.rules;
  }

  /** The faults for this request, in the order of the rules: [{kind, ...arguments}]. Counts it. */
  take(request, body) {
    const seen = {
      path: request.url.split('?')[0],
      method: request.method,
      grantType: grantTypeOf(request, body),
    };
    return this.rules.filter((rule) => fits(rule.match, seen) && counts(rule)).map((rule) => rule.fault);
  }
}

function readRule(rule, index) {
  const wrong = (text) => new RuleError(`rule ${index}: ${text}`);
  const { match, fault } = rule ?? {};
  if (typeof match?.path !== 'string') throw wrong('match.path is missing');
  const unknown = Object.keys(match).find((key) => !MATCH_KEYS.includes(key));
  if (unknown) throw wrong(`match.${unknown} is unknown`);
  const [kind, ...others] = typeof fault === 'string' ? [fault] : Object.keys(fault ?? {});
  if (!kind || others.length > 0) throw wrong('fault must name one kind');
  if (!Object.hasOwn(NEEDED, kind)) throw wrong(`fault ${kind} is unknown`);
  const given = typeof fault === 'string' ? {} : fault[kind];
  const missing = NEEDED[kind].find((name) => given?.[name] === undefined);
  if (missing) throw wrong(`fault ${kind} needs ${missing}`);
  return { match, fault: { ...given, kind }, matched: 0, applied: 0 };
}

function fits(match, seen) {
  const path = match.path.endsWith('*')
    ? seen.path.startsWith(match.path.slice(0, -1))
    : seen.path === match.path;
  const method = match.method === undefined || match.method === seen.method;
  const grant = match.grant_type === undefined
    || [match.grant_type, URN + match.grant_type].includes(seen.grantType);
  return path && method && grant;
}

function counts(rule) {
  rule.matched += 1;
  const first = rule.match.nth ?? 1;
  const count = rule.match.count ?? (rule.match.nth === undefined ? Infinity : 1);
  const hit = rule.matched >= first && rule.matched < first + count;
  if (hit) rule.applied += 1;
  return hit;
}

function grantTypeOf(request, body) {
  const isForm = (request.headers['content-type'] || '').startsWith('application/x-www-form-urlencoded');
  return isForm ? new URLSearchParams(body.toString()).get('grant_type') : null;
}
