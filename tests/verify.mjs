// Checks a token's signature against a key set, with Node's own crypto, and prints its claims.
//
//   node verify.mjs JWKS-FILE < token
import { createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';

const token = readFileSync(0, 'utf8');
const [head, body, signature] = token.split('.');
const { alg, kid } = JSON.parse(Buffer.from(head, 'base64url'));
const schemes = { RS256: {}, ES256: { dsaEncoding: 'ieee-p1363' } };
if (!schemes[alg]) throw new Error(`unexpected alg ${alg}`);
const jwk = JSON.parse(readFileSync(process.argv[2])).keys.find((key) => key.kid === kid);
if (!jwk) throw new Error(`no key ${kid} in the set`);
const key = { key: createPublicKey({ key: jwk, format: 'jwk' }), ...schemes[alg] };
if (!verify('sha256', Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url'))) {
  throw new Error('the signature is wrong');
}
process.stdout.write(Buffer.from(body, 'base64url'));
