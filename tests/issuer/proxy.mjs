// The fault proxy: stands in front of the issuer under the issuer's own name and spoils replies as its
// rules say (fault_rules.mjs: which requests; faults.mjs: how). Without rules it changes nothing.
//
// Each option is an environment variable, or a key of one JSON object given as the only argument:
//   HOST, PORT                    where to serve HTTPS                      127.0.0.1, 0
//   CERT, KEY                     PEM files of its certificate              required
//   UPSTREAM                      the issuer, e.g. https://127.0.0.1:9443   required
//   UPSTREAM_CA                   PEM file of the issuer's CA               required
//   UPSTREAM_NAME                 host name in the issuer's certificate     that of UPSTREAM
//   CONTROL_HOST, CONTROL_PORT    where to serve /_fault/ (plain HTTP)      127.0.0.1, 0
//   STAY                          1: do not stop when stdin closes          0
//
// Prints "READY <https URL> <control URL>". PUT a JSON list of rules to the control URL, GET shows
// them with their counters, DELETE removes them.
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, request as httpsRequest } from 'node:https';

import { RuleError, Rules } from './fault_rules.mjs';
import { Spoiler } from './faults.mjs';
import { endWith, listen, ready } from './lifecycle.mjs';

const LIMIT_BYTES = 16 << 20;
const UPSTREAM_MS = 60_000;
const HOP_BY_HOP = ['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'proxy-connection'];

const options = readOptions({ ...process.env, ...(process.argv[2] ? JSON.parse(process.argv[2]) : {}) });
const rules = new Rules();
const spoiler = new Spoiler();
const server = createServer({ key: options.key, cert: options.certificate, minVersion: 'TLSv1.2' }, serve);
server.on('connection', (socket) => spoiler.knowConnection(socket));
const control = createHttpServer(serveControl);

const port = await listen(server, options.port, options.host);
const controlPort = await listen(control, options.controlPort, options.controlHost);
endWith([server, control], options);
ready(`https://${options.host}:${port}/`, `http://${options.controlHost}:${controlPort}/_fault/`);

async function serve(request, response) {
  response.on('error', () => {});
  try {
    const body = await readAll(request);
    const faults = rules.take(request, body);
    await spoiler.answer({ request, response, faults, forward: () => forward(request, body) });
  } catch (error) {
    if (response.headersSent) response.destroy();
    else response.writeHead(502, { 'content-type': 'text/plain' }).end(`fault proxy: ${error.message}\n`);
  }
}

/** The issuer's reply as {status, headers, body}. Happens even if the client has gone meanwhile. */
function forward(request, body) {
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest(new URL(request.url, options.upstream), {
      method: request.method,
      headers: { ...withoutHopByHop(request.headers), 'content-length': body.length },
      ca: options.upstreamCa,
      servername: options.upstreamName,
      agent: false,
      timeout: UPSTREAM_MS,
    }, (reply) => {
      const headers = withoutHopByHop(reply.headers);
      readAll(reply).then((text) => resolve({ status: reply.statusCode, headers, body: text }), reject);
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('the issuer does not answer')));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

async function serveControl(request, response) {
  const reply = (status, object) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(object)}\n`);
  };
  try {
    if (request.url !== '/_fault/') reply(404, { error: 'only /_fault/' });
    else if (request.method === 'GET') reply(200, rules.list());
    else if (request.method === 'DELETE') reply(200, rules.replace([]));
    else if (request.method === 'PUT') reply(200, rules.replace(JSON.parse(await readAll(request))));
    else reply(405, { error: 'GET, PUT or DELETE' });
  } catch (error) {
    const isOurs = error instanceof RuleError || error instanceof SyntaxError;
    reply(isOurs ? 400 : 500, { error: error.message });
  }
}

function withoutHopByHop(headers) {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.includes(name)));
}

async function readAll(stream) {
  const chunks = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > LIMIT_BYTES) throw new Error(`more than ${LIMIT_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function readOptions(given) {
  for (const name of ['CERT', 'KEY', 'UPSTREAM', 'UPSTREAM_CA']) {
    if (!given[name]) throw new Error(`${name} is required`);
  }
  return {
    host: given.HOST || '127.0.0.1',
    port: Number(given.PORT || 0),
    certificate: readFileSync(given.CERT),
    key: readFileSync(given.KEY),
    upstream: given.UPSTREAM,
    upstreamCa: readFileSync(given.UPSTREAM_CA),
    upstreamName: given.UPSTREAM_NAME || undefined,
    controlHost: given.CONTROL_HOST || '127.0.0.1',
    controlPort: Number(given.CONTROL_PORT || 0),
    stay: String(given.STAY || '0') === '1',
  };
}
