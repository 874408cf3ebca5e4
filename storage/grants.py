"""Grants: what a user has let a client do, and the tokens by which the client does it (RFC 6749).

access token   for doors; as many as ACCESS_MAX of a grant are good at once, each for its time
refresh token  for new tokens, then spent. An answer may be lost, so the one spent last is taken
               again for FORGIVEN_MS; later that is theft (RFC 9700 4.14.2): the grant is revoked.
               A client that asks twice at once has two good ones; spending one spends both, and
               both are forgiven alike, for a client may well do that twice at once too.
mark           counts what was made of an account's grants and codes, and how often all of them
               were revoked: a password proved before is not good for a code made after.

A grant that is revoked is gone, and whoever has its account's news is told (TypeCode.GRANT).
"""

from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from storage import oauth_rows as rows_of
from storage.engine import Rows
from storage.ids import AccountId
from storage.keys import TypeCode
from storage.oauth_rows import (
    ACCESS,
    REFRESH,
    SECRET_BYTES,
    Client,
    Code,
    Grant,
    Kind,
    draw_number,
    hashed,
    is_one_of,
    pair,
    parse_token,
    render_token,
    row_key,
    unpack_pair,
)
from storage.plan import Plan
from storage.values import pack_u64, unpack_u64

# Of one account: each device and program has one. At more, the longest unused goes.
GRANTS_MAX: Final = 64
# Good access tokens of one grant. A client needs one; at more, the oldest goes.
ACCESS_MAX: Final = 8
# Good refresh tokens of one grant: more than one after an answer was lost, or when some programs
# of one client ask at once.
REFRESH_MAX: Final = 8
# A client that heard no answer asks again within its own timeout, mostly a minute.
FORGIVEN_MS: Final = 60_000
# A client that was let in stays registered longer than its refresh tokens, by this at least.
CLIENT_LONGER_MS: Final = 24 * 3600 * 1000


class ScopesTooWide(Exception):
    """Asked for with a refresh token, and not granted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long things are good, in milliseconds."""

    access_ms: int
    refresh_ms: int


@dataclass(frozen=True, slots=True)
class Access:
    """What a good access token lets its bearer do."""

    account: AccountId
    client: str
    scopes: tuple[str, ...]
    expires_ms: int
    grant: int
    digest: bytes
    """What the grant has of the token."""


@dataclass(frozen=True, slots=True)
class Issued:
    """New tokens of a grant, as the client is told them."""

    account: AccountId
    grant: int
    scopes: tuple[str, ...]
    access_token: str
    refresh_token: str
    access_ms: int


# --- reading


def prove_access(rows: Rows, token: str, now_ms: int) -> Access | None:
    """What the bearer of an access token may do; None when it is none, or none any more."""
    parsed = parse_token(ACCESS, token)
    if parsed is None:
        return None
    (account, number), (secret,) = parsed
    grant = get_grant(rows, AccountId(account), number)
    if grant is None:
        return None
    for held, ends_ms, scopes in grant.access:
        if is_one_of(secret, (held,)) and now_ms < ends_ms:
            return Access(AccountId(account), grant.client, scopes, ends_ms, number, held)
    return None


def names_grant(rows: Rows, token: str) -> bool:
    """Whether it looks like an access token of a grant there is: whose numbers nobody guesses."""
    parsed = parse_token(ACCESS, token)
    if parsed is None:
        return False
    account, number = parsed[0]
    return get_grant(rows, AccountId(account), number) is not None


def stands(rows: Rows, access: Access, now_ms: int) -> bool:
    """Whether what a token has opened may stay open: neither it nor its grant was taken back.

    That it expires meanwhile does no harm: its client would get another for the asking.
    """
    grant = get_grant(rows, access.account, access.grant)
    if grant is None:
        return False
    return now_ms >= access.expires_ms or any(access.digest == each[0] for each in grant.access)


def get_grant(rows: Rows, account: AccountId, number: int) -> Grant | None:
    """A grant; None when it is revoked or over."""
    return rows_of.get(rows, Kind.GRANT, pair(account, number), Grant)


def list_grants(rows: Rows, account: AccountId) -> list[tuple[int, Grant]]:
    """An account's grants by number, the last used first."""
    found = rows_of.scan(rows, Kind.GRANT, pack_u64(account), Grant, limit=2 * GRANTS_MAX)
    listed = [(unpack_pair(key)[1], grant) for key, grant in found]
    return sorted(listed, key=lambda each: (-each[1].used_ms, each[0]))


# --- marks


def revocations(rows: Rows, account: AccountId) -> int:
    """How often all that the account gave was revoked."""
    held = rows.get(_mark_key(account))
    return 0 if held is None else unpack_u64(held[8:])


def plan_mark(plan: Plan, account: AccountId, *, revoked: bool = False) -> None:
    """The account's grants or codes get one more, or all of them go: in one order on all nodes."""
    held = plan.expect(_mark_key(account)) or bytes(16)
    changes, times = unpack_u64(held[:8]) + 1, unpack_u64(held[8:]) + revoked
    plan.put(_mark_key(account), pack_u64(changes) + pack_u64(times))


def _mark_key(account: AccountId) -> bytes:
    return row_key(Kind.MARK, pack_u64(account))


# --- giving


def plan_grant(
    plan: Plan,
    account: AccountId,
    *,
    client: str,
    client_name: str,
    scopes: tuple[str, ...],
    terms: Terms,
) -> Issued:
    """Let a client in; its first tokens."""
    plan_mark(plan, account)
    listed = list_grants(plan, account)
    for number, _ in listed[GRANTS_MAX - 1 :]:
        plan_revoke(plan, account, number)
    number = draw_number(plan)
    family = plan.chance.randbytes(SECRET_BYTES)
    grant = Grant(
        ends_ms=plan.now_ms + terms.refresh_ms,
        client=client,
        client_name=client_name,
        scopes=scopes,
        created_ms=plan.now_ms,
        used_ms=plan.now_ms,
        family=hashed(family),
        refresh=(),
        spent=b"",
        forgiven_ms=0,
        access=(),
    )
    return _plan_tokens(plan, account, number, grant, family, scopes, terms)


def plan_refresh(
    plan: Plan, token: str, *, client: str, scopes: tuple[str, ...], terms: Terms
) -> Issued | None:
    """New tokens for a refresh token of this client; None when it is not good.

    `scopes`: those the access token shall have, of those granted (RFC 6749 6); empty: all. Raises
    ScopesTooWide for more, and then the token stays good.
    """
    parsed = parse_token(REFRESH, token)
    if parsed is None:
        return None
    (owner, number), (family, secret) = parsed
    account, what = AccountId(owner), pair(AccountId(owner), number)
    grant = rows_of.expect(plan, Kind.GRANT, what, Grant)
    if grant is None or plan.now_ms >= grant.ends_ms or grant.client != client:
        return None
    if not is_one_of(family, (grant.family,)):
        return None  # not one of ours: it says nothing of those that are
    if is_one_of(secret, grant.refresh):
        spent = replace(
            grant,
            refresh=(),
            spent=b"".join(grant.refresh),
            forgiven_ms=plan.now_ms + FORGIVEN_MS,
        )
    elif is_one_of(secret, rows_of.cut(grant.spent)) and plan.now_ms < grant.forgiven_ms:
        spent = grant
    else:
        plan_revoke(plan, account, number)
        return None
    if not set(scopes) <= set(grant.scopes):
        raise ScopesTooWide
    return _plan_tokens(plan, account, number, spent, family, scopes or grant.scopes, terms)


def _plan_tokens(
    plan: Plan,
    account: AccountId,
    number: int,
    grant: Grant,
    family: bytes,
    scopes: tuple[str, ...],
    terms: Terms,
) -> Issued:
    """One more access token and one more refresh token of a grant, which is used now."""
    access, refresh = plan.chance.randbytes(SECRET_BYTES), plan.chance.randbytes(SECRET_BYTES)
    good = [each for each in grant.access if each[1] > plan.now_ms]
    good.append((hashed(access), plan.now_ms + terms.access_ms, scopes))
    ends_ms = plan.now_ms + terms.refresh_ms
    after = replace(
        grant,
        ends_ms=ends_ms,
        used_ms=plan.now_ms,
        refresh=(*grant.refresh, hashed(refresh))[-REFRESH_MAX:],
        access=tuple(good[-ACCESS_MAX:]),
    )
    rows_of.plan_write(plan, Kind.GRANT, pair(account, number), after)
    _plan_client_stays(plan, grant.client, ends_ms)
    numbers = (account, number)
    return Issued(
        account,
        number,
        scopes,
        render_token(ACCESS, numbers, access),
        render_token(REFRESH, numbers, family, refresh),
        terms.access_ms,
    )


def _plan_client_stays(plan: Plan, client: str, until_ms: int) -> None:
    """A client outlives its refresh tokens; its row changes once in CLIENT_LONGER_MS for that."""
    what = client.encode()
    held = rows_of.expect(plan, Kind.CLIENT, what, Client)
    if held is None or (held.proven and held.ends_ms >= until_ms):
        return  # configured, or good for long enough
    if not held.proven:
        plan.delete(row_key(Kind.UNPROVEN, pack_u64(held.created_ms) + what))
    longer = replace(held, proven=True, ends_ms=until_ms + CLIENT_LONGER_MS)
    rows_of.plan_write(plan, Kind.CLIENT, what, longer)


# --- taking back


def plan_revoke(plan: Plan, account: AccountId, number: int) -> bool:
    """Take a grant back with all its tokens; False: it was gone already."""
    if rows_of.expect(plan, Kind.GRANT, pair(account, number), Grant) is None:
        return False
    rows_of.plan_remove(plan, Kind.GRANT, pair(account, number))
    plan.tell(account, TypeCode.GRANT.bit)
    return True


def plan_revoke_token(plan: Plan, token: str, *, client: str) -> bool:
    """RFC 7009 2.1: a refresh token with its grant, an access token alone; of this client only.

    False: it is none, or none any more, or another client's.
    """
    for word in (REFRESH, ACCESS):
        parsed = parse_token(word, token)
        if parsed is not None:
            break
    else:
        return False
    (owner, number), secrets = parsed
    account = AccountId(owner)
    grant = rows_of.expect(plan, Kind.GRANT, pair(account, number), Grant)
    if grant is None or grant.client != client:
        return False
    if word is REFRESH:
        # Also one that is spent: whoever has it may end what it was given for.
        return is_one_of(secrets[0], (grant.family,)) and plan_revoke(plan, account, number)
    kept = tuple(each for each in grant.access if not is_one_of(secrets[0], (each[0],)))
    if kept == grant.access:
        return False
    rows_of.plan_write(plan, Kind.GRANT, pair(account, number), replace(grant, access=kept))
    plan.tell(account, TypeCode.GRANT.bit)
    return True


def plan_revoke_all(plan: Plan, account: AccountId) -> int:
    """Take back all that the account has given, codes too; how many grants those were.

    A password that was changed because somebody knew it ends what he has made by it.
    """
    grants = list_grants(plan, account)
    for number, _ in grants:
        plan_revoke(plan, account, number)
    for key, _ in rows_of.scan(plan, Kind.CODE, pack_u64(account), Code, limit=2 * GRANTS_MAX):
        rows_of.plan_remove(plan, Kind.CODE, pair(account, unpack_pair(key)[1]))
    plan_mark(plan, account, revoked=True)
    return len(grants)
