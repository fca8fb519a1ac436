// The certificate authority of one test run, made with the openssl command line tool.
//
//   node ca.mjs --dir DIR                                   makes DIR/ca.pem and DIR/ca.key, once
//   node ca.mjs --dir DIR --cert NAME --san LIST [--days N] also DIR/NAME.pem and DIR/NAME.key
//     LIST        comma separated host names and IP addresses, e.g. issuer.test,127.0.0.1
//     --expired   the certificate ended yesterday
//     --wrong-name   it is for wrong-name.invalid instead of LIST
//     --alone     no authority signed it: who is to trust it has to have it
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const DAY_MS = 86_400_000;

const { values: options } = parseArgs({
  options: {
    dir: { type: 'string' },
    cert: { type: 'string' },
    san: { type: 'string', default: 'localhost,127.0.0.1,::1' },
    days: { type: 'string', default: '20' },
    expired: { type: 'boolean', default: false },
    'wrong-name': { type: 'boolean', default: false },
    alone: { type: 'boolean', default: false },
  },
});
if (!options.dir) {
  console.error('usage: node ca.mjs --dir DIR [--cert NAME --san LIST [--expired] [--wrong-name] [--alone]]');
  process.exit(2);
}
mkdirSync(options.dir, { recursive: true, mode: 0o700 });
if (!existsSync(join(options.dir, 'ca.pem'))) makeAuthority(options.dir);
if (options.cert) makeCertificate(options);

function makeAuthority(dir) {
  sign(dir, 'ca', {
    commonName: 'iamd test CA',
    start: Date.now() - DAY_MS,
    end: Date.now() + 30 * DAY_MS,
    signer: ['-selfsign'],
    extensions: ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign',
      'subjectKeyIdentifier=hash'],
  });
}

function makeCertificate({ dir, cert, san, days, expired, 'wrong-name': wrongName, alone }) {
  const names = wrongName ? ['wrong-name.invalid'] : san.split(',').map((name) => name.trim());
  sign(dir, cert, {
    commonName: names[0],
    start: Date.now() - (expired ? 3 * DAY_MS : DAY_MS / 24),
    end: Date.now() + (expired ? -DAY_MS : Number(days) * DAY_MS),
    signer: alone ? ['-selfsign'] : ['-cert', join(dir, 'ca.pem')],
    signingKey: alone ? cert : 'ca',
    extensions: ['basicConstraints=critical,CA:FALSE', 'keyUsage=critical,digitalSignature',
      'extendedKeyUsage=serverAuth', `subjectAltName=${names.map(alternativeName).join(',')}`,
      'subjectKeyIdentifier=hash', ...(alone ? [] : ['authorityKeyIdentifier=keyid'])],
  });
}

function alternativeName(name) {
  return isIP(name) ? `IP:${name}` : `DNS:${name}`;
}

// `openssl ca` is the only command of OpenSSL 3.0 that takes a start and an end of validity. It wants
// a database, which lives as long as this call: serial numbers are random.
function sign(dir, name, { commonName, start, end, signer, signingKey = 'ca', extensions }) {
  const work = mkdtempSync(join(dir, '.work-'));
  const request = join(work, 'request');
  const config = join(work, 'config');
  try {
    openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
      '-subj', `/CN=${commonName}`, '-keyout', join(dir, `${name}.key`), '-out', request);
    writeFileSync(config, configuration(join(work, 'database'), extensions));
    writeFileSync(join(work, 'database'), '');
    openssl('ca', '-batch', '-notext', '-config', config, ...signer, '-keyfile', join(dir, `${signingKey}.key`),
      '-in', request, '-out', join(dir, `${name}.pem`), '-outdir', work,
      '-startdate', instant(start), '-enddate', instant(end));
  } finally {
    rmSync(work, { recursive: true });
  }
}

function configuration(database, extensions) {
  return ['[ca]', 'default_ca=run', '[run]', `database=${database}`, 'default_md=sha256', 'policy=any',
    'rand_serial=yes', 'unique_subject=no', 'x509_extensions=extensions', '[any]', 'commonName=supplied',
    '[extensions]', ...extensions, ''].join('\n');
}

function instant(milliseconds) {
  return new Date(milliseconds).toISOString().replace(/[-:T]|\.\d+/g, '');
}

function openssl(...args) {
  const { status, stderr, error } = spawnSync('openssl', args, { encoding: 'utf8' });
  if (error || status !== 0) throw new Error(`openssl ${args[0]}: ${error?.message ?? stderr}`);
}
