// npm oauth4webapi against examples/agent_idp: client credentials by either authentication, introspection, revocation.
//
// In: IDP, CLIENT_ID, CLIENT_SECRET. Ends with the line `done`, or with what went wrong.

import assert from "node:assert/strict";
import * as oauth from "oauth4webapi";

const { IDP, CLIENT_ID, CLIENT_SECRET } = process.env;
const as = {
  issuer: IDP,
  token_endpoint: `${IDP}/api/v1/token`,
  introspection_endpoint: `${IDP}/api/v1/token/introspect`,
  revocation_endpoint: `${IDP}/api/v1/token/revoke`,
  jwks_uri: `${IDP}/.well-known/jwks.json`,
};
const client = { client_id: CLIENT_ID };
const http = { [oauth.allowInsecureRequests]: true };

/** Its introspection and revocation are asked with a token. */
const bearer = (token) => (_as, _client, _body, headers) => headers.set("authorization", `Bearer ${token}`);

async function issue(authentication, scope) {
  const parameters = new URLSearchParams(scope ? { scope } : {});
  const response = await oauth.clientCredentialsGrantRequest(as, client, authentication, parameters, http);
  return oauth.processClientCredentialsResponse(as, client, response);
}

async function introspect(by, token) {
  const response = await oauth.introspectionRequest(as, client, bearer(by), token, http);
  return oauth.processIntrospectionResponse(as, client, response);
}

async function revoke(by, token) {
  const response = await oauth.revocationRequest(as, client, bearer(by), token, http);
  return oauth.processRevocationResponse(response);
}

const { access_token: admin } = await issue(oauth.ClientSecretPost(CLIENT_SECRET));
for (const [name, authentication] of [
  ["client_secret_post", oauth.ClientSecretPost(CLIENT_SECRET)],
  ["client_secret_basic", oauth.ClientSecretBasic(CLIENT_SECRET)],
]) {
  const issued = await issue(authentication, "agents:read agents:write");
  assert.deepEqual(
    { ...issued, access_token: undefined },
    { access_token: undefined, token_type: "bearer", expires_in: 3600, scope: "agents:read agents:write" },
  );
  const token = issued.access_token;

  const active = await introspect(admin, token);
  assert.equal(active.active, true);
  assert.equal(active.client_id, CLIENT_ID);
  assert.equal(active.scope, "agents:read agents:write");
  assert.equal(active.exp - active.iat, 3600);
  const used = await oauth.protectedResourceRequest(token, "GET", new URL(`${IDP}/api/v1/agents`), undefined, undefined, http);
  assert.equal(used.status, 200);

  await revoke(token, token);
  await revoke(admin, token);
  assert.deepEqual({ ...(await introspect(admin, token)) }, { active: false });
  // It reads the challenge.
  await assert.rejects(
    oauth.protectedResourceRequest(token, "GET", new URL(`${IDP}/api/v1/agents`), undefined, undefined, http),
    (error) => error.cause[0].scheme === "bearer" && error.cause[0].parameters.error === "invalid_token",
  );
  console.log(`${name}: issued, active, revoked, inactive`);
}

await assert.rejects(issue(oauth.ClientSecretPost("wrong")), { error: "invalid_client", status: 401 });
await assert.rejects(issue(oauth.ClientSecretBasic("wrong")), (error) => error.cause[0].scheme === "basic");
await assert.rejects(issue(oauth.ClientSecretPost(CLIENT_SECRET), "agents:delete"), { error: "invalid_scope", status: 400 });
await assert.rejects(introspect("nothing", admin), (error) => error.cause[0].parameters.error === "invalid_token");
console.log("refusals: read as what they are");
console.log("done");
