#!/usr/bin/env bash
# The `curl` lines of AgentIdP's document, as they stand there, against examples/agent_idp. tests/suite/agent_idp/walk.rs
# puts in the port, and the admin as CLIENT_ID and CLIENT_SECRET.
set -euo pipefail

issue() {
curl -s -X POST http://localhost:3000/api/v1/token \
  -H "Content-Type: application/x-www-form-urlencoded" \
  -d "grant_type=client_credentials" \
  -d "client_id=$CLIENT_ID" \
  -d "client_secret=$CLIENT_SECRET" \
  -d "scope=agents:read agents:write" | jq .
}

use() {
curl -s http://localhost:3000/api/v1/agents \
  -H "Authorization: Bearer $TOKEN" | jq .
}

introspect() {
curl -s -X POST http://localhost:3000/api/v1/token/introspect \
  -H "Authorization: Bearer $TOKEN" \
  -H "Content-Type: application/x-www-form-urlencoded" \
  -d "token=$TOKEN_TO_CHECK" | jq .
}

revoke() {
curl -s -X POST http://localhost:3000/api/v1/token/revoke \
  -H "Authorization: Bearer $TOKEN" \
  -H "Content-Type: application/x-www-form-urlencoded" \
  -d "token=$TOKEN_TO_REVOKE" | jq .
}

# What $2 makes of the JSON $1 must be true.
expect() {
    echo "$1"
    jq -e "$2" <<<"$1" >/dev/null || { echo "not so: $2" >&2; exit 1; }
}

echo "issue"
issued="$(issue)"
expect "$issued" '.token_type == "Bearer" and .expires_in == 3600 and .scope == "agents:read agents:write"'
first="$(jq -r .access_token <<<"$issued")"

echo "what is in it"
claims="$(jq -R 'split(".")[1] | gsub("-"; "+") | gsub("_"; "/") | @base64d | fromjson' <<<"$first")"
expect "$claims" 'keys == ["client_id", "exp", "iat", "jti", "scope", "sub"] and .sub == .client_id and .exp == .iat + 3600'

echo "use"
TOKEN="$first"
agents="$(use)"
expect "$agents" '.agents | length == 1'

echo "introspect, which takes another scope than this token has"
TOKEN_TO_CHECK="$first"
refused="$(introspect)"
expect "$refused" '.error == "insufficient_scope"'
TOKEN="$(curl -s "$IDP/api/v1/token" -d grant_type=client_credentials -d "client_id=$CLIENT_ID" \
    -d "client_secret=$CLIENT_SECRET" -d scope=tokens:read | jq -r .access_token)"
active="$(introspect)"
expect "$active" '.active and .scope == "agents:read agents:write" and .token_type == "Bearer"'

echo "revoke, twice"
TOKEN_TO_REVOKE="$first"
for _ in 1 2; do
    revoked="$(revoke)"
    expect "$revoked" '. == {}'
done
inactive="$(introspect)"
expect "$inactive" '. == {"active": false}'
TOKEN="$first"
refused="$(use)"
expect "$refused" '.error == "invalid_token"'

echo "wrong credentials"
CLIENT_SECRET=wrong
refused="$(issue)"
expect "$refused" '.error == "invalid_client"'
echo "done"
