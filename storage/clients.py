"""Clients that registered themselves (RFC 7591): programs that ask users for access.

Anybody may register, so a registration says nothing of who it is, and costs little: the same one
twice is one client, its id made of what it says. It goes after UNPROVEN_MS unless a user has let
the client in by then (storage/grants.py keeps it from there on); of those that nobody has let in
there are UNPROVEN_MAX, and the oldest goes first.
"""

import base64
import hashlib
from typing import Final

import msgspec

from storage import oauth_rows as rows_of
from storage.engine import Rows
from storage.oauth_rows import Client, Kind, row_key, row_range, text_of
from storage.plan import Plan
from storage.values import pack_u64

# Registered and let in by nobody yet: some 2 MiB of rows at most.
UNPROVEN_MAX: Final = 2_000
# draft-ietf-mailmaint-oauth-public-05 3.10: at least an hour, from registering to the user.
UNPROVEN_MS: Final = 24 * 3600 * 1000

_MARK_BYTES: Final = 24


def client_id(said: bytes) -> str:
    """The id of the client that says this of itself."""
    mark = hashlib.sha256(said).digest()[:_MARK_BYTES]
    return "c-" + base64.urlsafe_b64encode(mark).decode()


def get_client(rows: Rows, client: str, now_ms: int) -> Client | None:
    """A client that has registered, and not so long ago that it is forgotten."""
    held = rows_of.get(rows, Kind.CLIENT, client.encode(), Client)
    return held if held is not None and now_ms < held.ends_ms else None


def plan_register(
    plan: Plan,
    *,
    name: str,
    uri: str,
    redirect_uris: tuple[str, ...],
    scopes: tuple[str, ...],
    more: bytes,
) -> str:
    """Register a client, or find it registered; its id. `more`: what else it says of itself."""
    client = client_id(msgspec.msgpack.encode((name, uri, redirect_uris, scopes, more)))
    what = client.encode()
    held = rows_of.expect(plan, Kind.CLIENT, what, Client)
    if held is not None and held.proven:
        ends_ms = max(held.ends_ms, plan.now_ms + UNPROVEN_MS)
        rows_of.plan_write(plan, Kind.CLIENT, what, msgspec.structs.replace(held, ends_ms=ends_ms))
        return client
    if held is not None:
        plan_forget(plan, client)
    waiting = plan.scan_keys(*row_range(Kind.UNPROVEN), limit=UNPROVEN_MAX)
    if len(waiting) == UNPROVEN_MAX:
        plan_forget(plan, text_of(waiting[0], skipped=8))
    record = Client(
        ends_ms=plan.now_ms + UNPROVEN_MS,
        created_ms=plan.now_ms,
        name=name,
        uri=uri,
        redirect_uris=redirect_uris,
        scopes=scopes,
    )
    rows_of.plan_write(plan, Kind.CLIENT, what, record)
    plan.put(row_key(Kind.UNPROVEN, pack_u64(plan.now_ms) + what), b"")
    return client


def plan_forget(plan: Plan, client: str) -> None:
    """The client is not registered any more."""
    what = client.encode()
    held = rows_of.expect(plan, Kind.CLIENT, what, Client)
    if held is not None:
        if not held.proven:
            plan.delete(row_key(Kind.UNPROVEN, pack_u64(held.created_ms) + what))
        rows_of.plan_remove(plan, Kind.CLIENT, what)
