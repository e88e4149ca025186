"""PyPI `grantex` in its feed mode before `examples/grantex`: who is refused, how soon, and what happens when it goes."""

import sys
import warnings

import httpx
from common import GENERATION, KEY, URL, agent, client, grant, until
from grantex import ToolManifest


def following(transport):
    grantex = client(revocation_check="feed", revocation_feed_stale_after=2.0, revocation_feed_transport=transport)
    assert grantex.revocation_feed().ready(timeout=10), grantex.revocation_feed_state()
    return loaded(grantex)


def loaded(grantex):
    grantex.load_manifest(ToolManifest("calendar", {"list_events": "read"}))
    return grantex


def denial(grantex, token):
    """Why a call is denied; `None` where it is allowed."""
    result = grantex.enforce(token, "calendar", "list_events")
    if result.allowed:
        return None
    assert result.reason_code == "grant_revoked", result
    return result.sub_reason


def child_of(grantex, parent):
    answer = grantex.grants.delegate(
        parent_grant_token=parent.token, sub_agent_id=agent(grantex).id, scopes=["tool:calendar:read"]
    )
    return answer["grantToken"]


def change(held, verb):
    url = f"{URL}/v1/grants/{held.tokens.grant_id}/{verb}"
    httpx.post(url, headers={"Authorization": f"Bearer {KEY}"}).raise_for_status()


def walk(name, grantex):
    """Everything that can happen to a grant, seen by a client that denies what is taken back."""

    def wait(what, token, *expected):
        seen = until(what, lambda: denial(grantex, token) in expected)
        print(f"{name}: {what} after {seen * 1000:.0f} ms")

    held, parent = grant(grantex), grant(grantex)
    child = child_of(grantex, parent)
    for token in [held.token, parent.token, child]:
        assert denial(grantex, token) is None

    change(held, "suspend")
    wait("suspended", held.token, "suspended")
    change(held, "resume")
    wait("resumed", held.token, None)
    grantex.tokens.revoke(held.verified.token_id)
    wait("token revoked", held.token, "revoked")
    # Both the parent's and the child's entry lead there.
    grantex.grants.revoke(parent.tokens.grant_id)
    wait("parent revoked", child, "revoked", "parent_revoked")
    wait("revoked", parent.token, "revoked")


def main():
    if GENERATION == "legacy":
        warnings.simplefilter("ignore")
    # Before anybody follows: this one has to be in the snapshot.
    with client() as early:
        before = grant(early)
        early.grants.revoke(before.tokens.grant_id)

    stream, poll = following("stream"), following("poll")
    online = loaded(client(revocation_check="online"))
    for grantex in [stream, poll, online]:
        assert denial(grantex, before.token) == "revoked"
    for name, grantex in [("stream", stream), ("poll", poll), ("online", online)]:
        walk(name, grantex)

    good = grant(stream)
    assert denial(stream, good.token) is None
    # Whoever started this ends the service, and says so.
    print("end it", flush=True)
    sys.stdin.readline()
    seen = until("failing closed", lambda: denial(stream, good.token) in ("feed_stale", "feed_unavailable"))
    assert denial(online, good.token) == "status_unavailable"
    print(f"stream: the service gone, and denied after {seen * 1000:.0f} ms")
    for grantex in [stream, poll]:
        grantex.stop_revocation_feed()
    print(f"grantex 0.7.2, {GENERATION}: revocation feed by stream and by poll, status online")


main()
