// Clients that "the site" registered beforehand, the same in every run and in both shapes.
// Their secrets are words in a test fixture, not credentials.

import { ADMIN_SCOPES } from './scopes.mjs';

const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const ALL_SCOPES = ['openid', 'profile', 'email', 'offline_access', 'wlcg', 'wlcg.groups', 'storage.read:/',
  'storage.modify:/', 'storage.create:/', 'storage.stage:/', 'compute.read', 'compute.create',
  'compute.modify', 'compute.cancel'].join(' ');

const CLIENTS = [
  { client_id: 'site-public', token_endpoint_auth_method: 'none', grant_types: [DEVICE, 'refresh_token'] },
  { client_id: 'site', client_secret: 'site-secret', grant_types: [DEVICE, 'refresh_token'] },
  { client_id: 'site-password', client_secret: 'site-secret',
    grant_types: [DEVICE, 'refresh_token', 'password'] },
  // All that HTTP Basic can get wrong: both are encoded as forms are (RFC 6749 section 2.3.1).
  { client_id: 'site+odd/100% : "&=$', client_secret: 'p%41+ss: w&rd=/%2B',
    grant_types: [DEVICE, 'refresh_token'] },
  // Given the scopes of administrators; who is none does not get them with it either.
  { client_id: 'site-admin', client_secret: 'site-secret', grant_types: [DEVICE, 'refresh_token'],
    allowed_scope: ['openid', 'profile', 'offline_access', ...ADMIN_SCOPES].join(' ') },
];

export function addSiteClients(storage) {
  for (const client of CLIENTS) {
    const record = {
      token_endpoint_auth_method: 'client_secret_basic',
      client_name: `The site's client ${client.client_id}`,
      redirect_uris: [],
      response_types: [],
      allowed_scope: ALL_SCOPES,
      reuse_refresh_token: true,
      clear_access_tokens_on_refresh: true,
      allow_introspection: true,
      active: true,
      ...client,
    };
    storage.put(`Client:${client.client_id}`, record);
  }
}
