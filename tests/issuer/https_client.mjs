// One HTTPS request with the run's own CA and, like curl's --resolve, own addresses for names.
import { request as httpsRequest } from 'node:https';

const LIMIT_BYTES = 16 << 20;

/**
 * Resolves to {status, headers, text}; rejects on a broken connection, or after `timeout_ms`.
 * `resolve` is a Map from "host:port" to an address. Redirects are not followed.
 */
export function request(url, options = {}) {
  const { method = 'GET', headers = {}, body, ca, resolve, timeout_ms: timeout = 15_000 } = options;
  return new Promise((done, fail) => {
    const target = new URL(url);
    const address = resolve?.get(`${target.hostname}:${target.port || 443}`);
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    const outgoing = httpsRequest(target, {
      method,
      ca,
      agent: false,
      headers: { ...headers, ...length },
      ...(address ? { lookup: always(address) } : {}),
    }, (reply) => {
      readAll(reply).then((text) => {
        clearTimeout(timer);
        done({ status: reply.statusCode, headers: reply.headers, text });
      }, fail);
    });
    const timer = setTimeout(() => outgoing.destroy(new Error(`no answer in ${timeout} ms`)), timeout);
    outgoing.on('error', (error) => {
      clearTimeout(timer);
      fail(error);
    });
    outgoing.end(body);
  });
}

/** "host:port:address" texts, as a Map for `request`. */
export function resolveMap(texts = []) {
  return new Map(texts.map((text) => {
    const match = /^([^:]+):(\d+):(.+)$/.exec(text);
    if (!match) throw new Error(`not host:port:address: ${text}`);
    return [`${match[1]}:${match[2]}`, match[3].replace(/^\[|\]$/g, '')];
  }));
}

async function readAll(reply) {
  const chunks = [];
  let size = 0;
  for await (const chunk of reply) {
    size += chunk.length;
    if (size > LIMIT_BYTES) throw new Error(`reply of more than ${LIMIT_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function always(address) {
  const family = address.includes(':') ? 6 : 4;
  return (hostname, options, callback) => {
    if (options.all) callback(null, [{ address, family }]);
    else callback(null, address, family);
  };
}
