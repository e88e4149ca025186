"""PyPI `grantex-fastapi` in an app of its own, which is shown tokens of `examples/grantex`."""

import asyncio
import warnings
from datetime import datetime, timezone

import httpx
from common import GENERATION, JWKS, agent, client, grant
from fastapi import Depends, FastAPI
from grantex import VerifiedGrant
from grantex_fastapi import GrantexAuth, GrantexFastAPIError, grantex_exception_handler

AUDIENCE = "https://calendar.example"


def app(grantex):
    app = FastAPI()
    app.add_exception_handler(GrantexFastAPIError, grantex_exception_handler)
    offline = GrantexAuth(JWKS)
    audience = GrantexAuth(JWKS, audience=AUDIENCE)
    current = GrantexAuth(JWKS, audience=AUDIENCE, current_authority=grantex.grants.verify)
    routes = {
        "/any": offline,
        "/read": offline.scopes("calendar:read"),
        "/write": offline.scopes("calendar:read", "calendar:write"),
        "/prefix": offline.scopes("payments:initiate"),
        "/audience": audience,
        "/current": current.scopes("calendar:read"),
    }
    for path, dependency in routes.items():

        def answer(verified: VerifiedGrant = Depends(dependency)):
            return {"grant": verified.grant_id, "agent": verified.agent_did, "depth": verified.delegation_depth}

        app.get(path)(answer)
    return app


async def walk(grantex):
    transport = httpx.ASGITransport(app=app(grantex))
    async with httpx.AsyncClient(transport=transport, base_url="http://app.example") as http:

        async def check(path, authorization, status, code=None, message=""):
            headers = {} if authorization is None else {"Authorization": authorization}
            response = await http.get(path, headers=headers)
            body = response.json()
            assert response.status_code == status, (path, authorization, body)
            if code is not None:
                assert body["error"] == code and message in body["message"], (path, body)
            return body

        held = grant(grantex, audience=AUDIENCE)
        bearer = f"Bearer {held.token}"
        for path in ["/any", "/read", "/audience", "/current"]:
            body = await check(path, bearer, 200)
            assert body == {
                "grant": held.tokens.grant_id, "agent": f"did:grantex:{held.agent}", "depth": None,
            }, body
        await check("/write", bearer, 403, "SCOPE_INSUFFICIENT", "calendar:write")
        await check("/prefix", bearer, 403, "SCOPE_INSUFFICIENT", "payments:initiate")
        for authorization in [None, "Basic x", f"bearer {held.token}"]:
            await check("/any", authorization, 401, "TOKEN_MISSING")
        head, claims, signature = held.token.split(".")
        for forged in ["junk", f"{head}.{claims}.{signature[::-1]}"]:
            await check("/any", f"Bearer {forged}", 401, "TOKEN_INVALID")
        elsewhere = grant(grantex, audience="https://other.example")
        await check("/audience", f"Bearer {elsewhere.token}", 401, "TOKEN_INVALID", "Audience")

        answer = grantex.grants.delegate(
            parent_grant_token=held.token, sub_agent_id=agent(grantex).id, scopes=["calendar:read"]
        )
        child = f"Bearer {answer['grantToken']}"
        assert (await check("/read", child, 200))["depth"] == 1
        await check("/audience", child, 401, "TOKEN_INVALID")

        brief = grant(grantex, expires_in="1s")
        while datetime.now(timezone.utc) < datetime.fromisoformat(brief.tokens.expires_at):
            await asyncio.sleep(0.05)
        await check("/any", f"Bearer {brief.token}", 401, "TOKEN_EXPIRED", "expired")

        grantex.tokens.revoke(held.verified.token_id)
        await check("/current", bearer, 401, "TOKEN_INVALID", "authority")
        await check("/any", bearer, 200)


def main():
    if GENERATION == "legacy":
        warnings.simplefilter("ignore")
    with client() as grantex:
        asyncio.run(walk(grantex))
    print(f"grantex-fastapi 0.1.7, {GENERATION}: scopes, audience, expiry, current authority")


main()
