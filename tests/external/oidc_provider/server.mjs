// npm oidc-provider on a free port of 127.0.0.1, with throw-away keys. Prints `listening on ISSUER` once it does.
//
// There is a client for each signature algorithm, named after it, with the secret `secret`. By client credentials it
// gets JWT access tokens (RFC 9068) signed with that algorithm, for whatever resource it names (RFC 8707); the client
// `opaque` gets opaque ones. Each may revoke its own (RFC 7009); the client `api`, with a secret that form encoding
// changes, may introspect everybody's (RFC 7662). This server does neither with JWTs. It ends when its standard input
// does, so that it never outlives its test.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'Ed25519', 'EdDSA'];
const SCOPES = 'agents:read agents:write';

const jwk = (type, options, members) => {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', ...members };
};

const client = (client_id, client_secret, grant_types) => ({
  client_id,
  client_secret,
  grant_types,
  redirect_uris: [],
  response_types: [],
  scope: SCOPES,
});

// Keys as servers publish them: with `alg` and without. An RSA key without means RS256 to us, so that PS256 says so.
const keys = [
  jwk('rsa', { modulusLength: 2048 }, { kid: 'rsa' }),
  jwk('rsa', { modulusLength: 2048 }, { kid: 'rsa-pss', alg: 'PS256' }),
  jwk('ec', { namedCurve: 'P-256' }, { kid: 'ec' }),
  jwk('ed25519', {}, { kid: 'ed' }),
];

const server = createServer();
await new Promise((resolve) => {
  server.listen(0, '127.0.0.1', resolve);
});
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  jwks: { keys },
  clients: [
    ...[...ALGORITHMS, 'opaque'].map((name) => client(name, 'secret', ['client_credentials'])),
    client('api', 'a secret: 100% + /', []),
  ],
  scopes: SCOPES.split(' '),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: (_, { clientId }) => clientId === 'api' },
    revocation: { enabled: true, allowedPolicy: (_, { clientId }, token) => clientId === token.clientId },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource, client) => ({
        scope: SCOPES,
        audience: resource,
        accessTokenTTL: 600,
        ...(client.clientId === 'opaque'
          ? { accessTokenFormat: 'opaque' }
          : { accessTokenFormat: 'jwt', jwt: { sign: { alg: client.clientId } } }),
      }),
    },
  },
});
provider.on('server_error', (_, error) => console.error(error));
server.on('request', provider.callback());

process.stdin.on('end', () => process.exit()).resume();
console.log(`listening on ${issuer}`);
