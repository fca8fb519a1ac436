// Walks the test issuer and the fault proxy end to end, with real processes on loopback. A test's name
// is the promise. Run: node --test selftest.mjs
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { signIn } from './approve.mjs';
import {
  ADMIN_TOKEN, Client, basic, bearer, claims, freePort, makeCertificates, runScript, startScript,
} from './testbed.mjs';

const SCOPES = 'openid offline_access profile wlcg wlcg.groups storage.read:/ storage.modify:/data';
const certificates = makeCertificates();
const { ca } = certificates;
after(() => certificates.remove());

for (const SHAPE of ['rfc', 'indigo-iam']) {
  for (const ROTATE of ['always', 'never']) walkThrough(SHAPE, ROTATE);
}

function walkThrough(SHAPE, ROTATE) {
  const isIam = SHAPE === 'indigo-iam';
  const rotates = ROTATE === 'always';
  const deadToken = isIam ? [401, 'invalid_token'] : [400, 'invalid_grant'];

  describe(`the ${SHAPE} shape, rotation ${ROTATE}`, () => {
    let issuer;
    let op;
    let client;

    before(async () => {
      issuer = await startIssuer({ SHAPE, ROTATE });
      op = new Client(issuer.words[0], ca);
      await op.discover();
      client = (await op.register({ scope: SCOPES })).json;
    });
    after(() => issuer.stop());

    async function login(scope = SCOPES, extra = {}) {
      const device = (await op.startDevice(client, { scope })).json;
      assert.equal(await signIn({ uri: device.verification_uri_complete, ca }), 'approved');
      const reply = await op.redeem(client, device, extra);
      assert.equal(reply.status, 200, reply.text);
      return { ...reply.json, device };
    }

    test('discovery announces itself', async () => {
      assert.equal(op.metadata.issuer, op.issuer);
      assert.equal('scim_endpoint' in op.metadata, isIam);
      assert.ok(op.metadata.device_authorization_endpoint.startsWith(op.issuer));
    });

    test('registration gives a client its secret, its token and its scopes', async () => {
      const reply = await op.register({ scope: SCOPES });
      assert.equal(reply.status, 201);
      assert.equal(reply.json.scope, SCOPES);
      assert.ok(reply.json.registration_access_token);
      assert.equal('client_secret_expires_at' in reply.json, !isIam);
      assert.equal('client_id_issued_at' in reply.json, !isIam);
    });

    test('registration refuses the password grant', async () => {
      const reply = await op.register({ grant_types: ['password'] });
      assert.equal(reply.status, 400);
      assert.equal(reply.json.error, isIam ? 'Grant type not allowed: password' : 'invalid_client_metadata');
    });

    test('a client can be read, changed and deleted (RFC 7592)', async () => {
      const made = (await op.register({ scope: SCOPES })).json;
      const read = await op.get(made.registration_client_uri, bearer(made.registration_access_token));
      assert.equal(read.json.client_id, made.client_id);
      const { registration_access_token: old, registration_client_uri: uri, client_id_issued_at: at,
        client_secret_expires_at: end, ...metadata } = read.json;
      const changed = await op.json('PUT', uri, { ...metadata, client_name: 'renamed' }, bearer(old));
      assert.equal(changed.status, 200, changed.text);
      assert.equal(changed.json.client_name, 'renamed');
      assert.equal(changed.json.registration_access_token === old, isIam);
      const token = bearer(changed.json.registration_access_token);
      assert.equal((await op.send(uri, { method: 'DELETE', headers: token })).status, 204);
      const wrong = await op.get(uri, bearer('wrong'));
      assert.equal(wrong.status, 401);
      assert.equal(wrong.text.includes('wrong'), isIam);
    });

    test('the device reply has no interval, and a poll is pending', async () => {
      const device = (await op.startDevice(client, { scope: SCOPES })).json;
      assert.equal(device.interval, undefined);
      assert.equal(device.expires_in, 600);
      assert.ok(device.verification_uri.endsWith('/device'));
      const poll = await op.redeem(client, device);
      assert.equal(poll.status, 400);
      assert.equal(poll.json.error, 'authorization_pending');
      assert.equal(poll.json.error_description.includes(device.device_code), isIam);
    });

    test('the complete URI leads to tokens', async () => {
      const token = await login();
      const access = claims(token.access_token);
      assert.equal(access.iss, isIam ? op.issuer.slice(0, -1) : op.issuer);
      assert.equal(access.aud, 'https://wlcg.cern.ch/jwt/v1/any');
      assert.match(access.scope, /storage\.modify:\/data/);
      assert.deepEqual(access['wlcg.groups'], ['/wlcg', '/wlcg/test']);
      assert.equal(claims(token.id_token).sub, access.sub);
      assert.equal(claims(token.id_token).preferred_username, 'alice');
      assert.equal(token.scope.includes('offline_access'), isIam);
      assert.equal(token.refresh_token.split('.').length === 3, isIam);
    });

    test('the short URI with a typed code works too, for another user', async () => {
      const device = (await op.startDevice(client, { scope: SCOPES })).json;
      const { verification_uri: uri, user_code: code } = device;
      assert.match(await signIn({ uri, ca }), /code/);
      assert.equal(await signIn({ uri, code, user: 'user77', ca }), 'approved');
      const token = (await op.redeem(client, device)).json;
      assert.equal(claims(token.id_token).preferred_username, 'user77');
    });

    test('a wrong password does not get in', async () => {
      const device = (await op.startDevice(client, { scope: SCOPES })).json;
      const outcome = await signIn({ uri: device.verification_uri_complete, password: 'no', ca });
      assert.match(outcome, /Wrong user name or password/);
      assert.equal((await op.redeem(client, device)).json.error, 'authorization_pending');
    });

    test('a denial is signalled, but not by INDIGO IAM', async () => {
      const device = (await op.startDevice(client, { scope: SCOPES })).json;
      assert.equal(await signIn({ uri: device.verification_uri_complete, deny: true, ca }), 'denied');
      const poll = await op.redeem(client, device);
      assert.equal(poll.json.error, isIam ? 'authorization_pending' : 'access_denied');
    });

    test('a device code redeemed twice is refused; only in the rfc shape its tokens die', async () => {
      const token = await login();
      assert.equal((await op.redeem(client, token.device)).json.error, 'invalid_grant');
      assert.equal((await op.refresh(client, token.refresh_token)).status === 200, isIam);
    });

    test('a refresh narrows to a sub-path, at a path boundary', async () => {
      const token = await login();
      const narrowed = await op.refresh(client, token.refresh_token, { scope: 'storage.modify:/data/x' });
      assert.equal(narrowed.status, 200, narrowed.text);
      assert.equal(claims(narrowed.json.access_token).scope, 'storage.modify:/data/x');
      assert.equal(narrowed.json.refresh_token !== token.refresh_token, rotates);
      for (const scope of ['storage.modify:/database', 'storage.stage:/', 'storage.modify:/data/../x']) {
        const refused = await op.refresh(client, narrowed.json.refresh_token, { scope });
        assert.equal(refused.json.error, 'invalid_scope', scope);
      }
    });

    test('a refresh takes one audience or several', async () => {
      const token = await login();
      const one = await op.refresh(client, token.refresh_token, { audience: 'https://se.example:1094' });
      assert.equal(claims(one.json.access_token).aud, 'https://se.example:1094');
      const two = await op.refresh(client, one.json.refresh_token, { audience: 'https://a b' });
      assert.deepEqual(claims(two.json.access_token).aud, ['https://a', 'b']);
      const none = await op.refresh(client, two.json.refresh_token);
      assert.equal(claims(none.json.access_token).aud, 'https://wlcg.cern.ch/jwt/v1/any');
      assert.match(none.json.scope, /storage\.read:\//);
    });

    test('an audience can be given when the code is redeemed', async () => {
      const token = await login(SCOPES, { audience: 'https://se2' });
      assert.equal(claims(token.access_token).aud, 'https://se2');
    });

    test('a new `resource` at refresh is free in the rfc shape, refused by INDIGO IAM', async () => {
      const token = await login();
      const reply = await op.refresh(client, token.refresh_token, { resource: 'https://rs.example/x' });
      if (isIam) assert.deepEqual([reply.status, reply.json.error], [401, 'invalid_target']);
      else assert.equal(claims(reply.json.access_token).aud, 'https://rs.example/x');
    });

    test('the reuse of a rotated refresh token kills the family', async () => {
      const first = await login();
      const second = await op.refresh(client, first.refresh_token);
      const reused = await op.refresh(client, first.refresh_token);
      if (!rotates) {
        assert.equal(reused.json.refresh_token, first.refresh_token);
        return;
      }
      assert.deepEqual([reused.status, reused.json.error], deadToken);
      assert.equal(reused.text.includes(first.refresh_token), isIam);
      assert.notEqual((await op.refresh(client, second.json.refresh_token)).status, 200);
    });

    test('an unknown refresh token and a wrong secret have the errors of the shape', async () => {
      const unknown = await op.refresh(client, 'abc');
      assert.deepEqual([unknown.status, unknown.json.error], deadToken);
      const wrong = await op.refresh({ ...client, client_secret: 'no' }, 'abc');
      assert.deepEqual([wrong.status, wrong.json.error], [401, isIam ? 'unauthorized' : 'invalid_client']);
    });

    test('introspection and revocation', async () => {
      const token = await login();
      const { introspection_endpoint: introspect, revocation_endpoint: revoke } = op.metadata;
      const fields = { token: token.refresh_token };
      assert.equal((await op.form(introspect, fields, basic(client))).json.active, true);
      assert.equal((await op.form(revoke, fields, basic(client))).status, 200);
      assert.equal((await op.form(introspect, fields, basic(client))).json.active, false);
      assert.notEqual((await op.refresh(client, token.refresh_token)).status, 200);
    });

    test('the site clients: public, and with the password grant', async () => {
      const open = { client_id: 'site-public' };
      const device = (await op.startDevice(open, { scope: 'openid offline_access storage.read:/home' })).json;
      await signIn({ uri: device.verification_uri_complete, user: 'bob', ca });
      const token = (await op.redeem(open, device)).json;
      assert.equal((await op.refresh(open, token.refresh_token)).status, 200);

      const site = { client_id: 'site-password', client_secret: 'site-secret' };
      const fields = { grant_type: 'password', username: 'alice', password: 'alice-pw',
        scope: 'openid offline_access storage.read:/', audience: 'https://se3' };
      const reply = await op.token(site, fields);
      assert.equal(reply.status, 200, reply.text);
      assert.equal(claims(reply.json.access_token).aud, 'https://se3');
      assert.ok(reply.json.id_token);
      assert.equal((await op.refresh(site, reply.json.refresh_token)).status, 200);
      const wrong = await op.token(site, { ...fields, password: 'no' });
      assert.deepEqual([wrong.status, wrong.json.error], [400, 'invalid_grant']);
      const refused = await op.token(client, fields);
      assert.equal(refused.json.error, isIam ? 'invalid_client' : 'invalid_request');
    });

    test('requests are recorded without their secrets', async () => {
      await op.control('POST', 'reset');
      const token = await login();
      await op.refresh(client, token.refresh_token, { scope: 'storage.read:/' });
      const { text, json: requests } = await op.control('GET', 'requests');
      assert.equal(text.includes(token.refresh_token), false);
      const last = requests.at(-1);
      assert.equal(last.grant_type, 'refresh_token');
      assert.equal(last.client_id, client.client_id);
      assert.equal(last.scope, 'storage.read:/');
      assert.equal(last.status, 200);
      assert.equal(last.authorization_scheme, 'basic');
      assert.match(last.refresh_token_sha256, /^[0-9a-f]{64}$/);
      const counts = (await op.control('GET', 'counts')).json;
      assert.equal(counts['POST /token refresh_token'], 1);
      assert.equal(counts['POST /token device_code'], 1);
      assert.ok((await op.control('GET', 'clients')).json.count >= 4);
      const { json: secrets } = await op.control('GET', 'secrets');
      assert.ok(secrets.includes(client.client_secret) && secrets.includes(token.refresh_token));
      const header = Buffer.from(`${client.client_id}:${client.client_secret}`).toString('base64');
      assert.ok(secrets.includes(header.replace(/=+$/, '')), 'nor as HTTP Basic has it');
      assert.equal((await op.get('_test/secrets')).status, 403);
      assert.equal((await op.get('_test/counts')).status, 403);
    });
  });
}

describe('INDIGO IAM in particular', () => {
  let issuer;
  let op;

  before(async () => {
    issuer = await startIssuer({ SHAPE: 'indigo-iam', DC_TTL: '2', ADMINS: 'bob,dave' });
    op = new Client(issuer.words[0], ca);
    await op.discover();
  });
  after(() => issuer.stop());

  test('the device endpoint refuses in its own ways', async () => {
    const { device_authorization_endpoint: url } = op.metadata;
    const unknown = await op.form(url, { client_id: 'nobody' });
    assert.deepEqual([unknown.status, unknown.text], [404, '']);
    const blank = await op.form(url, { client_id: '' });
    assert.deepEqual([blank.status, blank.text], [400, '']);
    assert.equal((await op.form(url, {})).json.error, 'Bad Request');
    const scope = await op.form(url, { client_id: 'site', scope: 'scim:read' });
    assert.deepEqual([scope.status, scope.json.error], [400, 'invalid_scope']);
    assert.equal((await op.form(url, { client_id: 'site', scope: 'openid' })).status, 200);
  });

  test('registration removes restricted scopes silently and explains errors in free text', async () => {
    const client = (await op.register({ scope: 'openid storage.read:/ scim:read iam:admin.write' })).json;
    assert.equal(client.scope, 'openid storage.read:/');
    const blank = await op.register({ client_name: ' ' });
    assert.deepEqual(blank.json, { error: 'registerClient.request.clientName: should not be blank' });
  });

  test('an initial access token that is none is refused, and a good one is not needed', async () => {
    const metadata = { client_name: 'initial', scope: 'openid', grant_types: ['refresh_token'] };
    const register = (token) => op.json('POST', op.metadata.registration_endpoint, metadata, bearer(token));
    assert.equal((await register('none')).status, 401);
    assert.equal((await register('a.b.c')).status, 401);
    const site = { client_id: 'site-password', client_secret: 'site-secret' };
    const fields = { grant_type: 'password', username: 'alice', password: 'alice-pw', scope: 'openid' };
    const good = (await op.token(site, fields)).json.access_token;
    assert.equal((await register(good)).status, 201);
  });

  test('an expired device code says so once', async () => {
    const site = { client_id: 'site', client_secret: 'site-secret' };
    const device = (await op.startDevice(site, { scope: 'openid' })).json;
    await new Promise((resolve) => { setTimeout(resolve, 3100); });
    assert.equal((await op.redeem(site, device)).json.error, 'expired_token');
    assert.equal((await op.redeem(site, device)).json.error, 'invalid_grant');
  });

  test('an administrator can allow the password grant, and break a client with a careless PUT', async () => {
    const client = (await op.register({ scope: 'openid offline_access storage.read:/' })).json;
    const full = (await op.admin('GET', client.client_id)).json;
    const wider = { ...full, grant_types: [...full.grant_types, 'password'] };
    const good = await op.admin('PUT', client.client_id, wider);
    assert.deepEqual(good.json, wider);
    const fields = { grant_type: 'password', username: 'alice', password: 'alice-pw' };
    const token = await op.token(client, fields);
    assert.equal(token.status, 200, token.text);
    const kept = await op.refresh(client, token.json.refresh_token);
    assert.equal(kept.json.refresh_token, token.json.refresh_token);

    const { client_secret: secret, reuse_refresh_token: reuse, ...careless } = wider;
    const bad = (await op.admin('PUT', client.client_id, careless)).json;
    assert.deepEqual([bad.client_secret, bad.reuse_refresh_token], [undefined, false]);
    assert.equal((await op.token(client, fields)).json.error, 'unauthorized');
    await op.admin('PUT', client.client_id, { ...careless, client_secret: secret });
    const rotated = await op.refresh(client, token.json.refresh_token);
    assert.notEqual(rotated.json.refresh_token, token.json.refresh_token);
    assert.equal((await op.get(`iam/api/clients/${client.client_id}`)).status, 401);
  });

  test('an administrator comes with an access token that has the scope, and nobody else does', async () => {
    const admin = { client_id: 'site-admin', client_secret: 'site-secret' };
    const scope = 'openid offline_access iam:admin.read iam:admin.write';
    const tokenOf = async (user, extra) => {
      const device = (await op.startDevice(admin, { scope })).json;
      await signIn({ uri: device.verification_uri_complete, user, ca });
      const first = (await op.redeem(admin, device)).json;
      return extra ? (await op.refresh(admin, first.refresh_token, extra)).json : first;
    };
    const both = await tokenOf('bob');
    assert.match(both.scope, /iam:admin\.write/);
    const write = await tokenOf('bob', { scope: 'iam:admin.write' });
    const none = await tokenOf('alice');
    assert.doesNotMatch(none.scope, /iam:admin/);
    const made = (await op.register({ scope: 'openid offline_access iam:admin.write' })).json;
    assert.doesNotMatch(made.scope, /iam:admin/);
    const url = `iam/api/clients/${made.client_id}`;
    const get = async (token) => (await op.get(url, bearer(token.access_token)));
    assert.deepEqual([(await get(both)).status, (await get(write)).status, (await get(none)).status],
      [200, 403, 403]);
    const full = (await get(both)).json;
    assert.equal(full.client_secret, made.client_secret);
    const put = (token) => op.json('PUT', url, full, bearer(token.access_token));
    assert.deepEqual([(await put(write)).status, (await put(none)).status], [200, 403]);
    assert.equal((await op.get(url, bearer('x.y.z'))).status, 401);
  });

  test('a password is not enough for who has to sign the AUP, is disabled or has a second factor', async () => {
    const site = { client_id: 'site-password', client_secret: 'site-secret' };
    const fields = { grant_type: 'password', username: 'user7', password: 'user7-pw' };
    const says = async (change) => {
      await op.control('POST', 'users/user7', change);
      const { status, json } = await op.token(site, fields);
      return [status, json.error, json.error_description];
    };
    const [status, error, text] = await says({ signed_aup: false });
    assert.deepEqual([status, error], [400, 'invalid_grant']);
    assert.match(text, /^User user7 needs to sign AUP/);
    // Not told to who does not know the password.
    const wrong = await op.token(site, { ...fields, password: 'no' });
    assert.equal(wrong.json.error_description, 'Bad credentials');
    assert.deepEqual(await says({ signed_aup: true, active: false }),
      [400, 'invalid_grant', 'User is disabled']);
    assert.deepEqual(await says({ active: true, second_factor: true }),
      [400, 'invalid_grant', 'Multi-factor authentication is required']);
    await op.control('POST', 'users/user7', { second_factor: false });
    assert.equal((await op.token(site, fields)).status, 200);
  });

  test('who has to sign the AUP or is suspended does not lose the refresh token', async () => {
    const site = { client_id: 'site-password', client_secret: 'site-secret' };
    const fields = { grant_type: 'password', username: 'carol', password: 'carol-pw' };
    const { refresh_token: token } = (await op.token(site, fields)).json;
    await op.control('POST', 'users/carol', { signed_aup: false });
    assert.match((await op.refresh(site, token)).json.error_description, /needs to sign AUP/);
    await op.control('POST', 'users/carol', { signed_aup: true, active: false });
    assert.equal((await op.refresh(site, token)).json.error, 'unauthorized');
    await op.control('POST', 'users/carol', { active: true });
    await op.admin('PATCH', 'site-password/disable', {});
    assert.match((await op.refresh(site, token)).json.error_description, /suspended/);
    await op.admin('PATCH', 'site-password/enable', {});
    assert.equal((await op.refresh(site, token)).status, 200);
  });

  test('access tokens are taken by introspection, userinfo and revocation', async () => {
    const site = { client_id: 'site-password', client_secret: 'site-secret' };
    const fields = { grant_type: 'password', username: 'alice', password: 'alice-pw' };
    const { access_token: token } = (await op.token(site, fields)).json;
    const introspected = await op.form(op.metadata.introspection_endpoint, { token }, basic(site));
    assert.equal(introspected.json.active, true);
    const user = await op.get(op.metadata.userinfo_endpoint, bearer(token));
    assert.equal(user.json.preferred_username, 'alice');
    assert.equal((await op.form(op.metadata.revocation_endpoint, { token }, basic(site))).status, 200);
  });

  test('another client cannot revoke a refresh token', async () => {
    const site = { client_id: 'site-password', client_secret: 'site-secret' };
    const fields = { grant_type: 'password', username: 'alice', password: 'alice-pw' };
    const { refresh_token: token } = (await op.token(site, fields)).json;
    const other = { client_id: 'site', client_secret: 'site-secret' };
    const reply = await op.form(op.metadata.revocation_endpoint, { token }, basic(other));
    assert.deepEqual([reply.status, reply.text], [403, '']);
    assert.equal((await op.refresh(site, token)).status, 200);
  });
});

describe('other options', () => {
  test('INTERVAL is announced and kept up with slow_down', async () => {
    const issuer = await startIssuer({ SHAPE: 'rfc', INTERVAL: '1' });
    const op = new Client(issuer.words[0], ca);
    await op.discover();
    const open = { client_id: 'site-public' };
    const device = (await op.startDevice(open, { scope: 'openid' })).json;
    assert.equal(device.interval, 1);
    assert.equal((await op.redeem(open, device)).json.error, 'slow_down');
    await issuer.stop();
  });

  test('with SECRETS=once a secret is not shown to who reads the client later', async () => {
    const issuer = await startIssuer({ SHAPE: 'indigo-iam', SECRETS: 'once' });
    const op = new Client(issuer.words[0], ca);
    await op.discover();
    const made = (await op.register()).json;
    assert.ok(made.client_secret);
    assert.equal((await op.admin('GET', made.client_id)).json.client_secret, undefined);
    await issuer.stop();
  });

  test('with INITIAL_ACCESS_TOKEN nobody registers a client without it', async () => {
    const issuer = await startIssuer({ SHAPE: 'rfc', INITIAL_ACCESS_TOKEN: 'let-me-in' });
    const op = new Client(issuer.words[0], ca);
    await op.discover();
    const register = async (headers) => (await op.register({ scope: SCOPES }, headers)).status;
    const statuses = [await register(), await register(bearer('wrong')), await register(bearer('let-me-in'))];
    await issuer.stop();
    assert.deepEqual(statuses, [401, 401, 201]);
  });

  test('REUSE=fails leaves the family alive', async () => {
    const issuer = await startIssuer({ SHAPE: 'rfc', REUSE: 'fails', USERS: 'dora:secret' });
    const op = new Client(issuer.words[0], ca);
    await op.discover();
    const site = { client_id: 'site-password', client_secret: 'site-secret' };
    const fields = { grant_type: 'password', username: 'dora', password: 'secret' };
    const first = (await op.token(site, fields)).json;
    const second = (await op.refresh(site, first.refresh_token)).json;
    assert.equal((await op.refresh(site, first.refresh_token)).status, 400);
    assert.equal((await op.refresh(site, second.refresh_token)).status, 200);
    await issuer.stop();
  });

  test('REUSE=grace takes a refresh token that was used as good as new', async () => {
    const issuer = await startIssuer({ SHAPE: 'rfc', REUSE: 'grace', USERS: 'dora:secret' });
    const op = new Client(issuer.words[0], ca);
    await op.discover();
    const site = { client_id: 'site-password', client_secret: 'site-secret' };
    const fields = { grant_type: 'password', username: 'dora', password: 'secret' };
    const first = (await op.token(site, fields)).json;
    const replies = [await op.refresh(site, first.refresh_token), await op.refresh(site, first.refresh_token)];
    assert.deepEqual(replies.map((reply) => reply.status), [200, 200]);
    for (const { json } of replies) assert.equal((await op.refresh(site, json.refresh_token)).status, 200);
    await issuer.stop();
  });

  test('the clock of the issuer can be set, and its tokens and replies tell it', async () => {
    const issuer = await startIssuer({ SHAPE: 'rfc', USERS: 'dora:secret' });
    const op = new Client(issuer.words[0], ca);
    await op.discover();
    const site = { client_id: 'site-password', client_secret: 'site-secret' };
    const fields = { grant_type: 'password', username: 'dora', password: 'secret' };
    for (const seconds of [-86_400, 86_400, 0]) {
      await op.control('POST', 'clock', { seconds });
      const reply = await op.token(site, fields);
      const now = Date.now() / 1000 + seconds;
      assert.ok(Math.abs(claims(reply.json.access_token).iat - now) < 10);
      assert.ok(Math.abs(Date.parse(reply.headers.date) / 1000 - now) < 10);
    }
    await issuer.stop();
  });

  test('the issuer ends at SIGTERM, and when stdin is closed', async () => {
    for (const end of [(issuer) => issuer.child.kill('SIGTERM'), (issuer) => issuer.child.stdin.end()]) {
      const issuer = await startIssuer({});
      end(issuer);
      assert.equal(await issuer.exited, 0);
    }
  });

  test('an expired certificate and one for another name are refused, and ISSUER needs a PORT', async () => {
    const variants = { expired: 'CERT_HAS_EXPIRED', 'wrong-name': 'ERR_TLS_CERT_ALTNAME_INVALID' };
    for (const [variant, code] of Object.entries(variants)) {
      runScript('ca.mjs', ['--dir', certificates.dir, '--cert', variant, `--${variant}`]);
      const CERT = certificates.path(`${variant}.pem`);
      const issuer = await startIssuer({ CERT, KEY: certificates.path(`${variant}.key`) });
      await assert.rejects(new Client(issuer.words[0], ca).discover(), { code });
      await issuer.stop();
    }
    await assert.rejects(startIssuer({ ISSUER: 'https://issuer.test/' }), /needs a PORT/);
  });

  test('approve.mjs is a command with --resolve and an honest exit code', async () => {
    runScript('ca.mjs', ['--dir', certificates.dir, '--cert', 'named', '--san', 'issuer.test']);
    const environment = { CERT: certificates.path('named.pem'), KEY: certificates.path('named.key') };
    const port = await freePort();
    const name = `issuer.test:${port}`;
    const issuer = await startIssuer({ ...environment, PORT: port, ISSUER: `https://${name}/` });
    const op = new Client(issuer.words[0], ca);
    op.resolve = new Map([[name, '127.0.0.1']]);
    await op.discover();
    const device = (await op.startDevice({ client_id: 'site-public' }, { scope: 'openid' })).json;
    const args = ['--uri', device.verification_uri_complete, '--ca', certificates.path('ca.pem'),
      '--resolve', `${name}:127.0.0.1`];
    const approved = runScript('approve.mjs', [...args, '--user', 'bob', '--password', 'bob-pw']);
    assert.deepEqual([approved.status, approved.stdout], [0, 'approved\n']);
    const again = runScript('approve.mjs', args);
    assert.equal(again.status, 1);
    assert.match(again.stderr, /used already/);
    await issuer.stop();
  });
});

describe('the fault proxy', () => {
  const site = { client_id: 'site', client_secret: 'site-secret' };
  let issuer;
  let proxy;
  let op;
  let direct;

  before(async () => {
    const [PORT, upstreamPort] = [await freePort(), await freePort()];
    issuer = await startIssuer({ SHAPE: 'rfc', PORT: upstreamPort, ISSUER: `https://127.0.0.1:${PORT}/` });
    const UPSTREAM = `https://127.0.0.1:${upstreamPort}/`;
    const UPSTREAM_CA = certificates.path('ca.pem');
    proxy = await startScript('proxy.mjs', { ...certificates.environment, PORT, UPSTREAM, UPSTREAM_CA });
    op = new Client(proxy.words[0], ca);
    direct = new Client(UPSTREAM, ca);
  });
  after(async () => {
    await proxy.stop();
    await issuer.stop();
  });

  async function rules(method, list) {
    const body = list && JSON.stringify(list);
    const reply = await fetch(proxy.words[1], { method, body, signal: AbortSignal.timeout(5000) });
    return { status: reply.status, json: await reply.json() };
  }

  /** Sets one fault for the token endpoint and asks there. */
  async function underFault(fault, options) {
    assert.equal((await rules('PUT', [{ match: { path: '/token' }, fault }])).status, 200);
    return ask(options);
  }

  function ask(options) {
    const headers = basic(site);
    return op.form('token', { grant_type: 'refresh_token', refresh_token: 'unknown' }, headers, options);
  }

  async function tokenRequests() {
    const counts = (await direct.control('GET', 'counts')).json;
    return counts['POST /token refresh_token'] ?? 0;
  }

  test('without rules it is the issuer, under the issuer\'s own URLs', async () => {
    await rules('DELETE');
    const metadata = await op.discover();
    assert.equal(metadata.issuer, proxy.words[0]);
    assert.equal((await ask()).json.error, 'invalid_grant');
    assert.equal(await tokenRequests(), 1);
    const device = (await op.startDevice(site, { scope: 'openid offline_access' })).json;
    assert.equal(await signIn({ uri: device.verification_uri_complete, ca }), 'approved');
    assert.equal((await op.redeem(site, device)).status, 200);
  });

  test('latency delays', async () => {
    const start = Date.now();
    assert.equal((await underFault({ latency: { ms: 300 } })).json.error, 'invalid_grant');
    assert.ok(Date.now() - start >= 300);
  });

  test('blackhole never answers and does not forward', async () => {
    const before = await tokenRequests();
    await assert.rejects(underFault('blackhole', { timeout_ms: 400 }), /no answer/);
    assert.equal(await tokenRequests(), before);
  });

  test('reset_before closes and the issuer does not know; reset_after closes and it does', async () => {
    const before = await tokenRequests();
    await assert.rejects(underFault('reset_before'), /ECONNRESET|hang up/);
    assert.equal(await tokenRequests(), before);
    await assert.rejects(underFault('reset_after'), /ECONNRESET|hang up/);
    assert.equal(await tokenRequests(), before + 1);
  });

  test('status answers with code, body and headers', async () => {
    const fault = { code: 429, body: { error: 'slow' }, headers: { 'retry-after': '7' } };
    const reply = await underFault({ status: fault });
    assert.deepEqual([reply.status, reply.json, reply.headers['retry-after']], [429, { error: 'slow' }, '7']);
    const plain = await underFault({ status: { code: 503, body: 'busy', content_type: 'text/plain' } });
    assert.deepEqual([plain.text, plain.headers['content-type']], ['busy', 'text/plain']);
  });

  test('"forward" lets the issuer do its work first', async () => {
    const before = await tokenRequests();
    await underFault({ status: { code: 502 } });
    assert.equal(await tokenRequests(), before);
    await underFault({ status: { code: 502, forward: true } });
    assert.equal(await tokenRequests(), before + 1);
  });

  test('html, empty and redirect answer in place of the issuer', async () => {
    const html = await underFault('html');
    assert.deepEqual([html.status, html.headers['content-type']], [200, 'text/html']);
    const empty = await underFault('empty');
    assert.deepEqual([empty.status, empty.text], [200, '']);
    const redirect = await underFault({ redirect: { location: 'https://evil.example/' } });
    assert.deepEqual([redirect.status, redirect.headers.location], [302, 'https://evil.example/']);
  });

  test('truncate breaks off, slow_body drips, oversize floods', async () => {
    await assert.rejects(underFault({ truncate: { bytes: 10 } }));
    const start = Date.now();
    assert.equal((await underFault({ slow_body: { bytes_per_s: 200 } })).json.error, 'invalid_grant');
    assert.ok(Date.now() - start > 200);
    const flood = await underFault({ oversize: { bytes: 3_000_000 } });
    assert.equal(flood.text.length, 3_000_000);
    assert.ok(flood.json.padding);
  });

  test('content_type and replace_json change the issuer\'s reply', async () => {
    const typed = await underFault({ content_type: { value: 'text/plain' } });
    assert.equal(typed.headers['content-type'], 'text/plain');
    const set = { interval: 1 };
    const edited = await underFault({ replace_json: { set, remove: ['error_description'] } });
    assert.deepEqual(edited.json, { error: 'invalid_grant', interval: 1 });
  });

  test('nth, count and grant_type choose the requests, and the counters tell', async () => {
    const hit = { status: { code: 500 } };
    const list = [
      { match: { path: '/token', nth: 2 }, fault: hit },
      { match: { path: '/tok*', grant_type: 'device_code' }, fault: hit },
      { match: { path: '/token', grant_type: 'refresh_token', nth: 3, count: 2 }, fault: hit },
    ];
    await rules('PUT', list);
    const statuses = [];
    for (let turn = 0; turn < 5; turn += 1) statuses.push((await ask()).status);
    assert.deepEqual(statuses, [400, 500, 500, 500, 400]);
    const counters = (await rules('GET')).json.map(({ matched, applied }) => [matched, applied]);
    assert.deepEqual(counters, [[5, 1], [0, 0], [5, 2]]);
  });

  test('rules without sense are refused and the old ones stay', async () => {
    await rules('PUT', [{ match: { path: '/x' }, fault: 'html' }]);
    const match = { path: '/x' };
    const wrong = [{}, [{}], [{ match, fault: 'nonsense' }], [{ match, fault: { latency: {} } }],
      [{ match: { ...match, nht: 1 }, fault: 'html' }]];
    for (const list of wrong) assert.equal((await rules('PUT', list)).status, 400);
    assert.equal((await rules('GET')).json.length, 1);
  });
});

function startIssuer(environment) {
  return startScript('issuer.mjs', { ...certificates.environment, ADMIN_TOKEN, ...environment });
}
