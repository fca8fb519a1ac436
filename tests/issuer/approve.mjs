// Signs in for a device as a person with a browser would: opens the page, posts its forms one after
// the other, keeps the cookies. Exit code 0 when the page of success came (with --deny: of denial).
//
//   node approve.mjs --uri URL --ca ca.pem [--code USER-CODE] [--user alice] [--password alice-pw]
//                    [--deny] [--resolve host:port:address]...
//
// URL is the verification_uri with --code, or the verification_uri_complete without.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { request, resolveMap } from './https_client.mjs';

const MOST_STEPS = 20;

/** Resolves to 'approved', 'denied' or a sentence that says why neither came. */
export async function signIn(options) {
  const { uri, code, user = 'alice', password = `${user}-pw`, deny = false, ca, resolve } = options;
  const browser = new Browser({ ca, resolve });
  let page = await browser.open(uri);
  for (let step = 0; step < MOST_STEPS; step += 1) {
    const outcome = /<body[^>]* data-outcome="(approved|denied)"/.exec(page.html)?.[1];
    if (outcome) return outcome;
    if (problemOn(page)) return problemOn(page);
    const form = firstForm(page);
    if (!form) return `no form and no outcome on "${titleOf(page)}" (HTTP ${page.status})`;
    fillIn(form.fields, { code, user, password, deny });
    if (form.fields.user_code === '') return 'the page asks for a code: give --code';
    page = await browser.post(form);
  }
  return `no end after ${MOST_STEPS} pages`;
}

function fillIn(fields, { code, user, password, deny }) {
  if (fields.user_code === '' && code) fields.user_code = code;
  if ('login' in fields) Object.assign(fields, { login: user, password });
  if (deny && 'confirm' in fields) fields.abort = 'yes';
}

function firstForm(page) {
  const html = /<form\b[\s\S]*?<\/form>/.exec(page.html)?.[0];
  if (!html) return undefined;
  const fields = {};
  for (const [input] of html.matchAll(/<input\b[^>]*>/g)) {
    const name = attribute(input, 'name');
    if (name) fields[name] = attribute(input, 'value') ?? '';
  }
  const opening = /<form\b[^>]*>/.exec(html)[0];
  return { action: new URL(attribute(opening, 'action') || page.url, page.url).href, fields };
}

function attribute(tag, name) {
  const value = new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1];
  const entities = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };
  return value?.replace(/&(amp|lt|gt|quot|#39);/g, (whole, entity) => entities[entity]);
}

function problemOn(page) {
  return /<p class="problem">([^<]*)<\/p>/.exec(page.html)?.[1];
}

function titleOf(page) {
  return /<title>([^<]*)<\/title>/.exec(page.html)?.[1] ?? page.html.slice(0, 80);
}

// Cookies are kept by name alone: all pages are of one host, and the newest of a name is the one meant.
class Browser {
  constructor(connection) {
    this.connection = connection;
    this.cookies = new Map();
  }

  open(url) {
    return this.follow('GET', url);
  }

  post({ action, fields }) {
    return this.follow('POST', action, new URLSearchParams(fields).toString());
  }

  async follow(method, url, body) {
    let next = { method, url, body };
    for (let hop = 0; hop < MOST_STEPS; hop += 1) {
      const reply = await this.send(next);
      const location = reply.headers.location;
      if (!location) return { url: next.url, status: reply.status, html: reply.text };
      next = { method: 'GET', url: new URL(location, next.url).href };
    }
    throw new Error('too many redirects');
  }

  async send({ method, url, body }) {
    const cookie = [...this.cookies].map((pair) => pair.join('=')).join('; ');
    const headers = { accept: 'text/html', cookie };
    if (body !== undefined) headers['content-type'] = 'application/x-www-form-urlencoded';
    const reply = await request(url, { ...this.connection, method, headers, body });
    for (const cookie of reply.headers['set-cookie'] || []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
      this.cookies.set(name, value);
    }
    return reply;
  }
}

async function main() {
  const { values } = parseArgs({
    options: {
      uri: { type: 'string' },
      code: { type: 'string' },
      user: { type: 'string', default: 'alice' },
      password: { type: 'string' },
      deny: { type: 'boolean', default: false },
      ca: { type: 'string' },
      resolve: { type: 'string', multiple: true },
    },
  });
  if (!values.uri || !values.ca) throw new Error('--uri and --ca are required');
  const connection = { ca: readFileSync(values.ca), resolve: resolveMap(values.resolve) };
  const outcome = await signIn({ ...values, ...connection });
  const wanted = values.deny ? 'denied' : 'approved';
  if (outcome !== wanted) throw new Error(outcome);
  console.log(outcome);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  main().catch((error) => {
    console.error(`approve: ${error.message}`);
    process.exitCode = 1;
  });
}
