"""What the scripts share: the service to talk to, a client of it, and grants of an agent of their own."""

import os
import time
from dataclasses import dataclass

from grantex import (
    AuthorizeParams,
    ExchangeTokenParams,
    Grantex,
    VerifyGrantTokenOptions,
    verify_grant_token,
)

URL = os.environ["GRANTEX_URL"]
KEY = os.environ["GRANTEX_KEY"]
GENERATION = os.environ["GRANTEX_GENERATION"]
JWKS = f"{URL}/.well-known/jwks.json"
SCOPES = ["calendar:read", "payments:initiate:max_500", "tool:calendar:read"]


@dataclass
class Held:
    """A grant and its first token."""

    agent: str
    tokens: object

    @property
    def token(self):
        return self.tokens.grant_token

    @property
    def verified(self):
        return verify(self.token)


def client(**options):
    return Grantex(api_key=KEY, base_url=URL, max_retries=0, **options)


def verify(token, **options):
    return verify_grant_token(token, VerifyGrantTokenOptions(jwks_uri=JWKS, **options))


def agent(grantex):
    return grantex.agents.register(name="assistant", scopes=SCOPES, description="plans days")


def grant(grantex, **changes):
    """A grant of a new agent."""
    agent_id = agent(grantex).id
    wanted = {"agent_id": agent_id, "user_id": "user_1", "scopes": SCOPES, **changes}
    request = grantex.authorize(AuthorizeParams(**wanted))
    assert request.sandbox is True and request.code, request
    return Held(agent_id, grantex.tokens.exchange(ExchangeTokenParams(code=request.code, agent_id=agent_id)))


def refused(kind, call):
    """Makes a call that has to fail with that error, which is returned."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was expected")


def until(what, holds, seconds=10.0):
    """Waits for something to hold; how long it took."""
    start = time.monotonic()
    while not holds():
        if time.monotonic() - start > seconds:
            raise AssertionError(f"{what} takes too long")
        time.sleep(0.005)
    return time.monotonic() - start
