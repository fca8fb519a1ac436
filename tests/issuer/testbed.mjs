// What selftest.mjs needs to run real processes: a CA, an issuer, a proxy, and a small OAuth client.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { request } from './https_client.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const START_MS = 20_000;
export const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
export const ADMIN_TOKEN = 'the-admin-of-this-test';

/** A folder with ca.pem, server.pem and server.key, removed by `remove()`. */
export function makeCertificates() {
  const dir = mkdtempSync(join(tmpdir(), 'iamd-issuer-'));
  runScript('ca.mjs', ['--dir', dir, '--cert', 'server', '--san', '127.0.0.1,localhost']);
  const path = (name) => join(dir, name);
  return {
    dir,
    path,
    ca: readFileSync(path('ca.pem')),
    environment: { CERT: path('server.pem'), KEY: path('server.key') },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}

/** Runs a script of this folder to its end: {status, stdout, stderr}. */
export function runScript(name, args) {
  return spawnSync(process.execPath, [join(HERE, name), ...args], { encoding: 'utf8', timeout: START_MS });
}

/** A port of loopback that was free a moment ago. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Starts a script of this folder and waits for its READY line, whose words are `words`. */
export function startScript(name, environment) {
  const child = spawn(process.execPath, [join(HERE, name)], {
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const exited = new Promise((resolve) => { child.once('exit', resolve); });
  let said = '';
  child.stderr.on('data', (data) => { said += data; });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), START_MS);
    child.once('exit', () => reject(new Error(`${name} ended before it was ready: ${said}`)));
    let output = '';
    child.stdout.on('data', (data) => {
      output += data;
      const line = /^READY (.*)\n/m.exec(output);
      if (!line) return;
      clearTimeout(timer);
      resolve({ child, words: line[1].split(' '), exited, stop: () => stop(child, exited) });
    });
  });
}

async function stop(child, exited) {
  child.stdin.end();
  const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
  await exited;
  clearTimeout(timer);
}

/** A client of `issuer` for tests: every call resolves to {status, headers, json, text}. */
export class Client {
  constructor(issuer, ca) {
    this.issuer = issuer;
    this.ca = ca;
  }

  async discover() {
    this.metadata = (await this.get('.well-known/openid-configuration')).json;
    return this.metadata;
  }

  async send(url, options = {}) {
    const reply = await request(new URL(url, this.issuer).href, {
      ca: this.ca, resolve: this.resolve, ...options,
    });
    return { ...reply, json: parsed(reply.text) };
  }

  get(url, headers) {
    return this.send(url, { headers });
  }

  json(method, url, object, headers) {
    const body = JSON.stringify(object);
    return this.send(url, { method, headers: { 'content-type': 'application/json', ...headers }, body });
  }

  form(url, fields, headers, options) {
    return this.send(url, {
      ...options,
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
      body: new URLSearchParams(fields).toString(),
    });
  }

  async register(extra = {}, headers = {}) {
    const asked = { client_name: 'selftest', grant_types: [DEVICE_GRANT, 'refresh_token'], ...extra };
    return this.json('POST', this.metadata.registration_endpoint, asked, headers);
  }

  startDevice(client, fields) {
    const all = { client_id: client.client_id, ...fields };
    return this.form(this.metadata.device_authorization_endpoint, all, basic(client));
  }

  token(client, fields, options) {
    const all = client.client_secret ? fields : { client_id: client.client_id, ...fields };
    return this.form(this.metadata.token_endpoint, all, basic(client), options);
  }

  redeem(client, device, extra) {
    return this.token(client, { grant_type: DEVICE_GRANT, device_code: device.device_code, ...extra });
  }

  refresh(client, refreshToken, extra, options) {
    const fields = { grant_type: 'refresh_token', refresh_token: refreshToken, ...extra };
    return this.token(client, fields, options);
  }

  control(method, path, object) {
    return this.json(method, `_test/${path}`, object ?? {}, { 'x-test-token': ADMIN_TOKEN });
  }

  admin(method, id, object) {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    const url = `iam/api/clients/${id}`;
    return method === 'GET' ? this.get(url, headers) : this.json(method, url, object, headers);
  }
}

export function basic(client) {
  if (!client.client_secret) return {};
  const pair = [client.client_id, client.client_secret].map(encodeURIComponent).join(':');
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

export function bearer(token) {
  return { authorization: `Bearer ${token}` };
}

/** The claims of a JWT, unverified. */
export function claims(jwt) {
  return JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url').toString());
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
