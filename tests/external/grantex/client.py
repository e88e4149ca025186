"""PyPI `grantex` before `examples/grantex`: the whole life of a token, online and offline."""

import json
import warnings
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue
from threading import Thread

from common import GENERATION, SCOPES, agent, client, grant, refused, verify
from grantex import (
    AuthorizeParams,
    ExchangeTokenParams,
    Grantex,
    GrantexApiError,
    GrantexAuthError,
    GrantexTokenError,
    LegacyClaimsWarning,
    RefreshTokenParams,
    generate_pkce,
    verify_webhook,
    verify_webhook_signature,
)

IS_LEGACY = GENERATION == "legacy"


def exchange(grantex):
    agent_id = agent(grantex).id
    pkce = generate_pkce()
    wanted = AuthorizeParams(
        agent_id=agent_id, user_id="user_1", scopes=SCOPES, expires_in="2h",
        code_challenge=pkce.code_challenge, code_challenge_method=pkce.code_challenge_method,
    )
    code = grantex.authorize(wanted).code

    def params(verifier):
        return ExchangeTokenParams(code=code, agent_id=agent_id, code_verifier=verifier)

    for verifier, message in [
        (None, "codeVerifier is required for PKCE"),
        (generate_pkce().code_verifier, "Invalid codeVerifier"),
    ]:
        error = refused(GrantexApiError, lambda: grantex.tokens.exchange(params(verifier)))
        assert (error.status_code, error.code, str(error)) == (400, "BAD_REQUEST", message), error
        assert error.request_id
    tokens = grantex.tokens.exchange(params(pkce.code_verifier))
    assert tokens.scopes == tuple(SCOPES) and tokens.refresh_token.startswith("ref_"), tokens
    error = refused(GrantexApiError, lambda: grantex.tokens.exchange(params(pkce.code_verifier)))
    assert str(error) == "Auth request not approved", error
    assert grantex.last_rate_limit.remaining > 0
    return agent_id, tokens


def refresh(grantex, agent_id, tokens):
    # A key of the caller's own: the answer can be had again, as after a connection that broke.
    params = RefreshTokenParams(
        refresh_token=tokens.refresh_token, agent_id=agent_id, idempotency_key="a-key-of-my-own-making"
    )
    refreshed = grantex.tokens.refresh(params)
    assert grantex.tokens.refresh(params) == refreshed
    old, new = verify(tokens.grant_token), verify(refreshed.grant_token)
    assert refreshed.grant_id == tokens.grant_id and refreshed.refresh_token != tokens.refresh_token
    assert (old.token_id != new.token_id) and old.expires_at == new.expires_at, (old, new)

    again = grantex.tokens.refresh(RefreshTokenParams(refresh_token=refreshed.refresh_token, agent_id=agent_id))
    reuse = RefreshTokenParams(refresh_token=refreshed.refresh_token, agent_id=agent_id)
    error = refused(GrantexApiError, lambda: grantex.tokens.refresh(reuse))
    assert (error.status_code, str(error)) == (400, "Refresh token already used"), error
    # Two hold it: nobody refreshes any more, and what was issued stays good.
    reuse = RefreshTokenParams(refresh_token=again.refresh_token, agent_id=agent_id)
    error = refused(GrantexApiError, lambda: grantex.tokens.refresh(reuse))
    assert str(error) == "Invalid refresh token", error
    for token in [tokens.grant_token, refreshed.grant_token, again.grant_token]:
        assert grantex.tokens.verify(token).valid


def verification(grantex):
    held = grant(grantex, audience="https://calendar.example")
    said = grantex.tokens.verify(held.token)
    assert said.valid and said.grant_id == held.tokens.grant_id and said.scopes == tuple(SCOPES), said
    assert (said.principal, said.agent) == ("user_1", f"did:grantex:{held.agent}"), said
    assert said.expires_at == held.tokens.expires_at

    verified = verify(
        held.token, required_scopes=SCOPES, audience="https://calendar.example", expected_principal_id="user_1",
        expected_agent_did=f"did:grantex:{held.agent}", bounded_jwks_fetch=True,
    )
    assert verified.grant_id == said.grant_id and verified.scopes == said.scopes, verified
    assert grantex.grants.verify(held.token) == verified
    shown = grantex.grants.get(said.grant_id)
    assert (shown.id, shown.status, shown.scopes) == (said.grant_id, "active", verified.scopes), shown
    assert said.grant_id in {listed.id for listed in grantex.grants.list().grants}
    assert verified.developer_id == shown.developer_id

    # The newer generation is read without its older names; the older one is nothing without them.
    if IS_LEGACY:
        assert set(verified.legacy_claims_used) >= {"scp", "agt", "dev", "grnt"}, verified
        refused(GrantexTokenError, lambda: verify(held.token, legacy_claims=False))
    else:
        assert verified.legacy_claims_used == () and verified.client_id == held.agent, verified
        assert verify(held.token, legacy_claims=False) == verified

    for options in [
        {"audience": "https://other.example"},
        {"required_scopes": ["payments:initiate"]},
        {"issuer": "https://grantex.dev"},
        {"algorithms": ["ES256"]},
    ]:
        refused(GrantexTokenError, lambda: verify(held.token, **options))
    head, claims, signature = held.token.split(".")
    for forged in [f"{head}.{claims}.{signature[::-1]}", f"{head}.{claims}.", "junk"]:
        refused(GrantexTokenError, lambda: verify(forged))
        assert not grantex.tokens.verify(forged).valid
    stranger = Grantex(api_key="another-key-that-nobody-has", base_url=grantex.base_url, max_retries=0)
    error = refused(GrantexAuthError, lambda: stranger.tokens.verify(held.token))
    assert (error.status_code, error.code, str(error)) == (401, "UNAUTHORIZED", "Invalid API key"), error


def revocation(grantex):
    held = grant(grantex)
    jti = held.verified.token_id
    assert grantex.tokens.revoke(jti) is None
    assert not grantex.tokens.verify(held.token).valid
    error = refused(GrantexTokenError, lambda: grantex.grants.verify(held.token))
    assert str(error).endswith("revoked"), error
    error = refused(GrantexApiError, lambda: grantex.tokens.revoke(jti))
    assert (error.status_code, error.code) == (404, "NOT_FOUND"), error
    assert verify(held.token).token_id == jti, "offline, nobody knows"

    held = grant(grantex)
    grantex.grants.revoke(held.tokens.grant_id)
    error = refused(GrantexApiError, lambda: grantex.grants.revoke(held.tokens.grant_id))
    assert error.status_code == 404, error
    params = RefreshTokenParams(refresh_token=held.tokens.refresh_token, agent_id=held.agent)
    assert str(refused(GrantexApiError, lambda: grantex.tokens.refresh(params))) == "Grant has been revoked"


def delegation(grantex):
    parent = grant(grantex)

    def delegate(token, scopes):
        return grantex.grants.delegate(
            parent_grant_token=token, sub_agent_id=agent(grantex).id, scopes=scopes, expires_in="30d"
        )

    error = refused(GrantexApiError, lambda: delegate(parent.token, ["payments:initiate"]))
    assert str(error) == "Requested scopes exceed parent grant scopes: payments:initiate", error
    chain = [parent.verified]
    token = parent.token
    for depth in range(1, 4):
        answer = delegate(token, ["calendar:read"])
        token = answer["grantToken"]
        verified = verify(token)
        assert verified.delegation_depth == depth and verified.parent_grant_id == chain[-1].grant_id, verified
        assert verified.parent_agent_did == chain[-1].agent_did and verified.scopes == ("calendar:read",), verified
        assert verified.expires_at == chain[0].expires_at and verified.principal_id == "user_1", verified
        act = verified.act
        for previous in reversed([] if IS_LEGACY else chain):
            assert act["sub"] == previous.agent_did, verified
            act = act.get("act")
        assert act is None, verified
        chain.append(verified)
    error = refused(GrantexAuthError, lambda: delegate(token, ["calendar:read"]))
    assert (error.status_code, error.code) == (403, "DELEGATION_DEPTH_EXCEEDED"), error
    assert grantex.tokens.verify(token).valid
    grantex.grants.revoke(chain[0].grant_id)
    assert not grantex.tokens.verify(token).valid, "a grant ends with the first of its chain"


class Receiver(BaseHTTPRequestHandler):
    """Puts what arrives into a queue: its headers and its bytes."""

    arrived = Queue()

    def do_POST(self):  # noqa: N802 - the name is the library's
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.arrived.put((self.headers, body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def webhooks(grantex):
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    Thread(target=server.serve_forever, daemon=True).start()
    webhook = grantex.webhooks.create(url=f"http://127.0.0.1:{server.server_port}/hook", events=["grant.revoked"])
    held = grant(grantex)
    grantex.grants.revoke(held.tokens.grant_id)
    headers, body = Receiver.arrived.get(timeout=30)
    timestamp, signature = headers["X-Grantex-Timestamp"], headers["X-Grantex-Signature-V2"]
    assert verify_webhook(body, signature, timestamp, webhook.secret)
    assert verify_webhook_signature(body, headers["X-Grantex-Signature"], webhook.secret)
    assert not verify_webhook(body + b" ", signature, timestamp, webhook.secret)
    assert not verify_webhook(body, signature, str(int(timestamp) + 1), webhook.secret)
    assert (headers["Transfer-Encoding"] == "chunked") == IS_LEGACY, headers
    event = json.loads(body)
    assert event["type"] == "grant.revoked" and event["data"]["grantId"] == held.tokens.grant_id, event
    grantex.webhooks.delete(webhook.id)
    server.shutdown()
    server.server_close()


def main():
    # What is read by its older name is warned of; of the newer generation nothing should be.
    warnings.simplefilter("ignore" if IS_LEGACY else "error", LegacyClaimsWarning)
    with client() as grantex:
        agent_id, tokens = exchange(grantex)
        refresh(grantex, agent_id, tokens)
        verification(grantex)
        revocation(grantex)
        delegation(grantex)
        webhooks(grantex)
    print(f"grantex 0.7.2, {GENERATION}: exchange, refresh, reuse, verify, revoke, delegate, webhook")


main()
