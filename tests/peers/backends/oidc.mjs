// oidc-provider as an authorization server: opaque tokens by client credentials, introspection and revocation.
// A client `device-SECONDS` gets tokens that live so long. It knows the scopes of the tests. Its argument is the folder where oidc-provider
// is installed; two more are certificate and key for TLS. The first line of the output is the port.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecure } from 'node:https';
import { pathToFileURL } from 'node:url';

const { default: Provider } = await import(pathToFileURL(`${process.argv[2]}/node_modules/oidc-provider/lib/index.js`));

const secret = 'secret';
const device = (seconds) => ({
  client_id: `device-${seconds}`, client_secret: secret, grant_types: ['client_credentials'],
  redirect_uris: [], response_types: [],
});

process.env.NODE_ENV = 'test';
const provider = new Provider('http://127.0.0.1', {
  clients: [3, 60, 600].map(device).concat({
    client_id: 'gateway', client_secret: secret, grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
  }),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
    resourceIndicators: { enabled: false },
  },
  clientDefaults: { token_endpoint_auth_method: 'client_secret_basic' },
  scopes: ['other', 'mqtt:read:a', 'mqtt:read:a/#', 'mqtt.read:b', 'mqtt:write:a', 'mqtt:write:a/+', 'mqtt.write:c'],
  ttl: { ClientCredentials: (ctx, token, client) => Number(client.clientId.split('-')[1] ?? 60) },
});

const [certificate, key] = process.argv.slice(3);
const server = certificate
  ? createSecure({ cert: readFileSync(certificate), key: readFileSync(key) }, provider.callback())
  : createServer(provider.callback());
const listening = server.listen(0, '127.0.0.1', () => console.log(listening.address().port));
