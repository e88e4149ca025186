"""PyPI Authlib as an authorization server on a free port of 127.0.0.1, all of it in memory, with throw-away keys.

Prints `listening on ISSUER` once it does. The clients RS256 and ES256, with the secret `secret`, get JWT access tokens
(RFC 9068) signed with the algorithm that names them, the client `opaque` opaque ones: by client credentials, for the
resources they name. Each may revoke its own tokens (RFC 7009), JWTs as well; the client `api`, with a secret that
form encoding changes, may introspect everybody's (RFC 7662). It ends when its standard input does, so that it never
outlives its test.
"""

import logging
import os
import sys
import threading
import time

# The tests speak plain http on loopback.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.common.security import generate_token
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator, JWTIntrospectionEndpoint
from flask import Flask, request as flask_request
from joserfc.jwk import ECKey, KeySet, RSAKey
from werkzeug.serving import make_server

LIFETIME = 600
SCOPES = ["agents:read", "agents:write"]
KEYS = {
    "RS256": RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig", "alg": "RS256"}),
    "ES256": ECKey.generate_key("P-256", {"kid": "ec", "use": "sig", "alg": "ES256"}),
}

app = Flask(__name__)
listener = make_server("127.0.0.1", 0, app, threaded=True)
issuer = f"http://127.0.0.1:{listener.server_port}"


class Client(ClientMixin):
    def __init__(self, client_id, secret="secret"):
        self.client_id = client_id
        self.secret = secret

    def get_client_id(self):
        return self.client_id

    def get_allowed_scope(self, scope):
        return " ".join(one for one in (scope or "").split() if one in SCOPES)

    def check_client_secret(self, secret):
        return secret == self.secret

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_secret_basic"

    def check_grant_type(self, grant_type):
        return grant_type == "client_credentials" and self.client_id != "api"


class Token(TokenMixin):
    """What is remembered of a token, JWT or opaque."""

    def __init__(self, client, scope):
        self.client = client
        self.scope = scope
        self.audiences = flask_request.form.getlist("resource")
        self.issued_at = int(time.time())
        self.revoked = False

    def check_client(self, client):
        return self.client is client

    def is_expired(self):
        return self.issued_at + LIFETIME <= time.time()

    def is_revoked(self):
        return self.revoked


clients = [Client("RS256"), Client("ES256"), Client("opaque"), Client("api", "a secret: 100% + /")]
clients = {client.client_id: client for client in clients}
tokens = {}


def save_token(token, request):
    tokens[token["access_token"]] = Token(request.client, token.get("scope", ""))


class JwtGenerator(JWTBearerTokenGenerator):
    def get_jwks(self):
        return KEYS[self.alg]

    def get_audiences(self, client, user, scope):
        return flask_request.form.getlist("resource")


GENERATORS = {algorithm: JwtGenerator(issuer, algorithm, expires_generator=LIFETIME) for algorithm in KEYS}
GENERATORS["opaque"] = BearerTokenGenerator(lambda **_: generate_token(42), expires_generator=LIFETIME)


class Revocation(RevocationEndpoint):
    """Of both kinds. Authlib's JWTRevocationEndpoint refuses every JWT, since it presumes that no list is kept."""

    def query_token(self, token_string, token_type_hint):
        return tokens.get(token_string)

    def revoke_token(self, token, request):
        token.revoked = True


class JwtIntrospection(JWTIntrospectionEndpoint):
    """Passes on to the next endpoint what is no JWT of its own."""

    def get_jwks(self):
        return KeySet(list(KEYS.values()))

    def check_permission(self, token, client, request):
        remembered = tokens.get(request.form["token"])
        return client.client_id == "api" and remembered is not None and not remembered.revoked


class Introspection(IntrospectionEndpoint):
    def query_token(self, token_string, token_type_hint):
        return tokens.get(token_string)

    def check_permission(self, token, client, request):
        return client.client_id == "api"

    def introspect_token(self, token):
        return {
            "active": True,
            "client_id": token.client.client_id,
            "token_type": "Bearer",
            "scope": token.scope,
            "sub": token.client.client_id,
            "aud": token.audiences,
            "iss": issuer,
            "exp": token.issued_at + LIFETIME,
            "iat": token.issued_at,
        }


server = AuthorizationServer(app, clients.get, save_token)
server.register_grant(ClientCredentialsGrant)
server.register_token_generator("default", lambda client, **rest: GENERATORS[client.client_id](client=client, **rest))
server.register_endpoint(JwtIntrospection(issuer))
server.register_endpoint(Introspection)
server.register_endpoint(Revocation)


@app.get("/.well-known/oauth-authorization-server")
def metadata():
    methods = ["client_secret_basic"]
    return {
        "issuer": issuer,
        "jwks_uri": f"{issuer}/jwks",
        "token_endpoint": f"{issuer}/token",
        "token_endpoint_auth_methods_supported": methods,
        "introspection_endpoint": f"{issuer}/introspect",
        "introspection_endpoint_auth_methods_supported": methods,
        "revocation_endpoint": f"{issuer}/revoke",
        "revocation_endpoint_auth_methods_supported": methods,
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "scopes_supported": SCOPES,
    }


@app.get("/jwks")
def jwks():
    return KeySet(list(KEYS.values())).as_dict(private=False)


@app.post("/token")
def token():
    return server.create_token_response()


@app.post("/introspect")
def introspect():
    return server.create_endpoint_response("introspection")


@app.post("/revoke")
def revoke():
    return server.create_endpoint_response("revocation")


logging.getLogger("werkzeug").setLevel(logging.WARNING)
threading.Thread(target=listener.serve_forever, daemon=True).start()
print(f"listening on {issuer}", flush=True)
sys.stdin.buffer.read()
