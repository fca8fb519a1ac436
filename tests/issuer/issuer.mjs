// The test issuer: a real, certified OpenID provider over TLS, dressed as INDIGO IAM or as plain RFCs.
// Its options are described in config.mjs. Prints "READY <issuer URL>" when it listens.
import { createServer } from 'node:https';

import { Accounts } from './accounts.mjs';
import { mapAudience } from './audience.mjs';
import { checkClients } from './client_rules.mjs';
import { issuerUrls, readConfig } from './config.mjs';
import { serveControl } from './control.mjs';
import { serveIam } from './iam.mjs';
import { endWith, listen, ready } from './lifecycle.mjs';
import { servePages } from './pages.mjs';
import { enforceInterval } from './polling.mjs';
import { createProvider, routesOf } from './provider.mjs';
import { Recorder } from './recorder.mjs';
import { readBody } from './request_body.mjs';
import { addSiteClients } from './site_clients.mjs';
import { Storage } from './storage.mjs';

const config = readConfig(process.env, process.argv[2]);
const server = createServer({ key: config.key, cert: config.certificate, minVersion: 'TLSv1.2' });
const port = await listen(server, config.port, config.host);
const urls = issuerUrls(config, port);
server.on('request', requestListener());
endWith([server], config);
ready(urls.announced);

function requestListener() {
  const routes = routesOf(config);
  const storage = new Storage({ graceMs: config.reuse === 'grace' ? 60_000 : 0 });
  const accounts = new Accounts(config.moreUsers, config.administrators);
  const recorder = new Recorder();
  const { provider, signingKey } = createProvider({ config, urls, accounts, storage });
  addSiteClients(storage);

  // The provider's own routes come last; each layer in front sees the request earlier, the reply later.
  const tokenPaths = ['/token', ...(config.isIam ? [] : [routes.device_authorization])];
  const layers = [
    readBody,
    recorder.middleware(),
    serveControl({ config, recorder, accounts, storage }),
    servePages({ provider, accounts, config, deviceVerificationPath: routes.code_verification }),
    enforceInterval({ config, deviceAuthorizationPath: routes.device_authorization }),
    ...(config.isIam
      ? serveIam({ config, urls, provider, accounts, storage, routes, signingKey })
      : [checkClients({ storage, routes })]),
    mapAudience(tokenPaths),
  ];
  for (const layer of layers) provider.use(layer);
  provider.on('server_error', (ctx, error) => console.error(error));
  const callback = provider.callback();
  return (request, response) => {
    // The provider makes its URLs from the Host header; ours are those of the issuer, however we
    // were reached.
    request.headers.host = urls.host;
    response.setHeader('date', new Date().toUTCString());
    callback(request, response);
  };
}
