// What the faults do. All that fit a request are applied: first every `latency`; then the first fault
// that answers in the issuer's place (the issuer does not see the request, unless the fault says
// "forward": true); else the issuer answers and the others change its reply, in the order of the rules.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

const LONGEST_MS = 60_000;
const LARGEST_BYTES = 64 << 20;
const TICK_MS = 100;

const IN_PLACE = ['blackhole', 'reset_before', 'status', 'html', 'empty', 'oversize', 'redirect'];

// How the changed reply is sent; the last of these wins, plain sending without any.
const SENDING = ['reset_after', 'truncate', 'slow_body'];

export class Spoiler {
  constructor() {
    // TLS sockets cannot send a TCP reset; the connections below them can.
    this.connections = new Map();
  }

  knowConnection(socket) {
    const port = socket.remotePort;
    this.connections.set(port, socket);
    socket.on('close', () => this.connections.delete(port));
  }

  async answer({ request, response, faults, forward }) {
    const latency = faults.filter((fault) => fault.kind === 'latency');
    for (const { ms } of latency) await sleep(Math.min(ms, LONGEST_MS), undefined, { ref: false });
    const inPlace = faults.find((fault) => IN_PLACE.includes(fault.kind));
    if (inPlace) {
      if (inPlace.forward) await forward();
      await this.answerInPlace(inPlace, request, response);
      return;
    }
    const reply = await forward();
    for (const fault of faults) change(fault, reply);
    await this.send(faults.findLast((fault) => SENDING.includes(fault.kind)), reply, request, response);
  }

  async answerInPlace(fault, request, response) {
    switch (fault.kind) {
      case 'blackhole':
        return this.closeLater(request);
      case 'reset_before':
        return this.reset(request);
      case 'status':
        return write(response, fault.code, statusHeaders(fault), textOf(fault.body ?? ''));
      case 'html':
        return write(response, 200, { 'content-type': 'text/html' }, fault.body ?? maintenancePage());
      case 'empty':
        return write(response, 200, { 'content-type': 'application/json' }, '');
      case 'redirect':
        return write(response, fault.code ?? 302, { location: fault.location }, '');
      case 'oversize':
        return writeOversize(response, Math.min(fault.bytes, LARGEST_BYTES));
      default:
        throw new Error(`not an answer: ${fault.kind}`);
    }
  }

  async send(fault, reply, request, response) {
    switch (fault?.kind) {
      case 'reset_after':
        return this.reset(request);
      case 'truncate':
        return truncate(fault, reply, request, response);
      case 'slow_body':
        return drip(fault, reply, response);
      default:
        return write(response, reply.status, reply.headers, reply.body);
    }
  }

  reset(request) {
    this.connections.get(request.socket.remotePort)?.resetAndDestroy();
    request.socket.destroy();
  }

  async closeLater(request) {
    const timer = setTimeout(() => request.socket.destroy(), LONGEST_MS);
    request.socket.on('close', () => clearTimeout(timer));
  }
}

function change(fault, reply) {
  if (fault.kind === 'content_type') reply.headers['content-type'] = fault.value;
  if (fault.kind !== 'replace_json') return;
  const object = JSON.parse(reply.body.toString());
  for (const name of fault.remove ?? []) delete object[name];
  reply.body = Buffer.from(JSON.stringify({ ...object, ...fault.set }));
}

function statusHeaders({ content_type: type, headers = {} }) {
  return { 'content-type': type ?? 'application/json', ...headers };
}

function textOf(body) {
  return typeof body === 'string' ? body : JSON.stringify(body);
}

function maintenancePage() {
  return '<!DOCTYPE html><html><head><title>Maintenance</title></head><body><h1>Back soon</h1></body></html>';
}

function write(response, status, headers, body) {
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

async function truncate({ bytes }, reply, request, response) {
  response.writeHead(reply.status, { ...reply.headers, 'content-length': reply.body.length });
  await new Promise((resolve) => { response.write(reply.body.subarray(0, bytes), resolve); });
  request.socket.destroy();
}

async function drip({ bytes_per_s: bytesPerSecond }, reply, response) {
  const step = Math.max(1, Math.round((bytesPerSecond * TICK_MS) / 1000));
  const pause = Math.max(TICK_MS, 1000 / bytesPerSecond);
  const deadline = Date.now() + LONGEST_MS;
  response.writeHead(reply.status, { ...reply.headers, 'content-length': reply.body.length });
  for (let sent = 0; sent < reply.body.length && !response.destroyed; sent += step) {
    if (Date.now() > deadline) {
      response.destroy();
      return;
    }
    response.write(reply.body.subarray(sent, sent + step));
    await sleep(pause);
  }
  response.end();
}

async function writeOversize(response, bytes) {
  const opening = '{"padding":"';
  const closing = '"}';
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': bytes });
  response.write(opening);
  let left = bytes - opening.length - closing.length;
  const block = Buffer.alloc(65_536, 'x');
  while (left > 0 && !response.destroyed) {
    const size = Math.min(left, block.length);
    left -= size;
    if (!response.write(block.subarray(0, size))) {
      await Promise.race([once(response, 'drain'), once(response, 'close')]);
    }
  }
  response.end(closing);
}
