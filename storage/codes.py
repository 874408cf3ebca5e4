"""Codes: what a user's consent is carried by until a client has its tokens for it.

authorization code  (RFC 6749 4.1) good once. Whoever comes with it again shows that it leaked: what
                    it gave is revoked (4.1.2), so it stays, used, until its time is over.
device code         (RFC 8628) waits until a user has typed the user code that belongs to it and
                    said yes; behind it stands an authorization code then, with which it goes. It is
                    good once, and for a minute once more if the answer was lost: what that had told
                    is revoked.

What has ended is deleted by whoever leads (node/jobs.py), and is no good a moment before.
"""

import hmac
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import Final

from msgspec.structs import replace

from storage import clients
from storage import oauth_rows as rows_of
from storage.due import Due, plan_done
from storage.engine import Rows
from storage.grants import (
    FORGIVEN_MS,
    Issued,
    Terms,
    plan_grant,
    plan_mark,
    plan_revoke,
    revocations,
)
from storage.ids import AccountId
from storage.keys import TypeCode
from storage.oauth_rows import (
    CODE,
    DEVICE,
    SECRET_BYTES,
    Client,
    Code,
    Device,
    Grant,
    Kind,
    draw_number,
    hashed,
    is_one_of,
    pack_number,
    pair,
    parse_token,
    render_token,
    row_id,
    row_key,
    row_range,
    unpack_pair,
)
from storage.plan import Plan
from storage.values import pack_u64, unpack_u64

# Of one account, used ones too; at more, the one that ends first goes.
CODES_MAX: Final = 16
# Device codes that wait, of all together: anybody may ask for one. At more, whoever has fewer than
# somebody else gets one of his, so a stranger who takes all there are locks out himself alone.
DEVICES_MAX: Final = 1_000
# So long a device is still told that its code has expired, and not that there is none such.
EXPIRED_TOLD_MS: Final = 600_000
# RFC 8628 6.1: letters that make no words and are not mistaken for one another; 34 bits of them.
USER_CODE_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
USER_CODE_LENGTH: Final = 8


class TooManyDevices(Exception):
    """Over DEVICES_MAX."""


class RevokedMeanwhile(Exception):
    """The password was changed after it was proved."""


class Polled(Enum):
    """What a device that asks is told when it gets no tokens (RFC 8628 3.5)."""

    PENDING = "authorization_pending"
    DENIED = "access_denied"
    EXPIRED = "expired_token"
    UNKNOWN = "invalid_grant"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks a user for."""

    client: str
    client_name: str
    scopes: tuple[str, ...]


# --- authorization codes


def plan_code(
    plan: Plan,
    account: AccountId,
    asked: Asked,
    *,
    redirect_uri: str,
    challenge: str,
    code_ms: int,
    revoked: int,
) -> str:
    """The code for a user's yes. `revoked`: `revocations` as they were before he proved himself;
    raises RevokedMeanwhile when they are not so any more."""
    secret = plan.chance.randbytes(SECRET_BYTES)
    record = Code(
        ends_ms=plan.now_ms + code_ms,
        secret=hashed(secret),
        client=asked.client,
        client_name=asked.client_name,
        redirect_uri=redirect_uri,
        challenge=challenge,
        scopes=asked.scopes,
    )
    number = _plan_code(plan, account, record, revoked)
    return render_token(CODE, (account, number), secret)


def _plan_code(plan: Plan, account: AccountId, record: Code, revoked: int) -> int:
    plan_mark(plan, account)
    if revocations(plan, account) != revoked:
        raise RevokedMeanwhile
    held = rows_of.scan(plan, Kind.CODE, pack_u64(account), Code, limit=CODES_MAX)
    if len(held) == CODES_MAX:
        oldest = min(held, key=lambda each: (each[1].ends_ms, each[0]))[0]
        rows_of.plan_remove(plan, Kind.CODE, pair(account, unpack_pair(oldest)[1]))
    number = draw_number(plan)
    rows_of.plan_write(plan, Kind.CODE, pair(account, number), record)
    return number


def plan_redeem(
    plan: Plan, token: str, *, client: str, redirect_uri: str, challenge: str, terms: Terms
) -> Issued | None:
    """Tokens for a code, from the client that asked for it, as it asked; None: it is not good.

    `challenge` is made of the verifier that the client has shown (RFC 7636 4.6).
    """
    parsed = parse_token(CODE, token)
    if parsed is None:
        return None
    (owner, number), (secret,) = parsed
    account = AccountId(owner)
    code = rows_of.expect(plan, Kind.CODE, pair(account, number), Code)
    if code is None or plan.now_ms >= code.ends_ms or not is_one_of(secret, (code.secret,)):
        return None
    if code.used:
        plan_revoke(plan, account, code.used)
        return None
    if code.client != client or code.redirect_uri != redirect_uri:
        return None
    if not hmac.compare_digest(code.challenge.encode(), challenge.encode()):
        return None
    return _plan_use(plan, account, number, code, terms)


def _plan_use(plan: Plan, account: AccountId, number: int, code: Code, terms: Terms) -> Issued:
    issued = plan_grant(
        plan,
        account,
        client=code.client,
        client_name=code.client_name,
        scopes=code.scopes,
        terms=terms,
    )
    used = replace(code, used=issued.grant)
    rows_of.plan_write(plan, Kind.CODE, pair(account, number), used)
    return issued


# --- device codes


def plan_device(plan: Plan, asked: Asked, *, user_code_ms: int, site: str = "") -> tuple[str, str]:
    """A device code, and the letters that a user types for it. `site` is the network that it is
    asked for from. Raises TooManyDevices."""
    waiting = plan.scan_keys(*row_range(Kind.DEVICE), limit=DEVICES_MAX)
    if len(waiting) == DEVICES_MAX:
        _plan_room(plan, site)
    letters = draw_user_code(plan)
    while plan.expect(_user_code_key(letters)) is not None:
        letters = draw_user_code(plan)
    number, secret = draw_number(plan), plan.chance.randbytes(SECRET_BYTES)
    record = Device(
        ends_ms=plan.now_ms + user_code_ms + EXPIRED_TOLD_MS,
        until_ms=plan.now_ms + user_code_ms,
        secret=hashed(secret),
        user_code=letters,
        client=asked.client,
        client_name=asked.client_name,
        scopes=asked.scopes,
        site=site,
    )
    rows_of.plan_write(plan, Kind.DEVICE, pack_number(number), record)
    plan.put(_user_code_key(letters), pack_u64(number))
    return render_token(DEVICE, (number,), secret), letters


def _plan_room(plan: Plan, site: str) -> None:
    """The one that ends first, of the site that has most, makes room for one that has fewer."""
    held = rows_of.scan(plan, Kind.DEVICE, b"", Device, limit=DEVICES_MAX)
    counts = Counter(device.site for _, device in held)
    most = max(counts, key=lambda each: (counts[each], each))
    if counts[most] <= counts[site] + 1:
        raise TooManyDevices(f"{DEVICES_MAX} wait already")
    # One that its user has let in and that has not asked since is the last to go.
    gone = min(
        ((device.code is not None, device.ends_ms, device.user_code, key), device)
        for key, device in held
        if device.site == most
    )
    _plan_gone(plan, row_id(gone[0][3]), gone[1])


def _plan_gone(plan: Plan, what: bytes, device: Device) -> None:
    """The device with its user code."""
    letters = _user_code_key(device.user_code)
    if plan.expect(letters) == what:  # and not drawn again for another
        plan.delete(letters)
    rows_of.plan_remove(plan, Kind.DEVICE, what)


def draw_user_code(plan: Plan) -> str:
    """Letters for a user."""
    return "".join(plan.chance.choice(USER_CODE_LETTERS) for _ in range(USER_CODE_LENGTH))


def find_device(rows: Rows, letters: str, now_ms: int) -> tuple[int, Device] | None:
    """The device that waits for a user with this code; None: there is none, or none any more."""
    if len(letters) != USER_CODE_LENGTH or not set(letters) <= set(USER_CODE_LETTERS):
        return None
    held = rows.get(_user_code_key(letters))
    if held is None:
        return None
    number = unpack_u64(held)
    device = rows_of.get(rows, Kind.DEVICE, pack_number(number), Device)
    if device is None or now_ms >= device.until_ms or device.denied or device.code is not None:
        return None
    return number, device


def plan_approve(
    plan: Plan, letters: str, account: AccountId, *, code_ms: int, revoked: int
) -> bool:
    """The user says yes; False: nothing waits for him any more. Raises RevokedMeanwhile."""
    found = _expect_device(plan, letters)
    if found is None:
        return False
    number, device = found
    # It is asked for within an interval of polling; a device that sleeps may take until its end.
    code = Code(
        ends_ms=max(device.until_ms, plan.now_ms + code_ms),
        secret=b"",
        client=device.client,
        client_name=device.client_name,
        redirect_uri="",
        challenge="",
        scopes=device.scopes,
    )
    given = _plan_code(plan, account, code, revoked)
    until_ms = code.ends_ms
    approved = replace(
        device, code=(account, given), until_ms=until_ms, ends_ms=until_ms + EXPIRED_TOLD_MS
    )
    rows_of.plan_write(plan, Kind.DEVICE, pack_number(number), approved)
    plan.delete(_user_code_key(letters))
    return True


def plan_deny(plan: Plan, letters: str) -> bool:
    """The user says no; False: nothing waits for him any more."""
    found = _expect_device(plan, letters)
    if found is not None:
        _plan_denied(plan, *found)
    return found is not None


def plan_failure(plan: Plan, letters: str, *, failures_max: int) -> int:
    """A wrong password was given with the code; how many more may be. At none the code dies."""
    found = _expect_device(plan, letters)
    if found is None:
        return 0
    number, device = found
    failed = replace(device, failures=device.failures + 1)
    if failed.failures >= failures_max:
        _plan_denied(plan, number, failed)
    else:
        rows_of.plan_write(plan, Kind.DEVICE, pack_number(number), failed)
    return failures_max - failed.failures


def plan_poll(plan: Plan, token: str, *, client: str, terms: Terms) -> Issued | Polled:
    """Tokens for a device code of this client, if its user has said yes; once."""
    parsed = parse_token(DEVICE, token)
    if parsed is None:
        return Polled.UNKNOWN
    (number,), (secret,) = parsed
    device = rows_of.expect(plan, Kind.DEVICE, pack_number(number), Device)
    if device is None or device.client != client or not is_one_of(secret, (device.secret,)):
        return Polled.UNKNOWN
    if device.denied:
        return Polled.DENIED
    if plan.now_ms >= device.until_ms:
        return Polled.EXPIRED
    if device.code is None:
        return Polled.PENDING
    account, given = AccountId(device.code[0]), device.code[1]
    code = rows_of.expect(plan, Kind.CODE, pair(account, given), Code)
    if code is None:
        return Polled.DENIED  # the password was changed meanwhile
    if code.used and not _plan_unheard(plan, account, code.used):
        return Polled.UNKNOWN
    return _plan_use(plan, account, given, code, terms)


def _plan_unheard(plan: Plan, account: AccountId, number: int) -> bool:
    """Take back what a device was given that asks once more; whether it has not heard of it.

    One that heard no answer must ask again (RFC 8628 3.5), and only it has its code.
    """
    grant = rows_of.expect(plan, Kind.GRANT, pair(account, number), Grant)
    plan_revoke(plan, account, number)
    return grant is not None and not grant.spent and plan.now_ms < grant.created_ms + FORGIVEN_MS


def _expect_device(plan: Plan, letters: str) -> tuple[int, Device] | None:
    found = find_device(plan, letters, plan.now_ms)
    if found is not None:
        rows_of.expect(plan, Kind.DEVICE, pack_number(found[0]), Device)
    return found


def _plan_denied(plan: Plan, number: int, device: Device) -> None:
    rows_of.plan_write(plan, Kind.DEVICE, pack_number(number), replace(device, denied=True))
    plan.delete(_user_code_key(device.user_code))


def _user_code_key(letters: str) -> bytes:
    return row_key(Kind.USER_CODE, letters.encode())


# --- the end


def plan_expire(plan: Plan, due: Due) -> None:
    """A row's time has come, unless it was given more meanwhile."""
    assert due.kind is TypeCode.GRANT, due
    kind, what = Kind(due.what[0]), due.what[1:]
    match kind:
        case Kind.CLIENT:
            held: rows_of.Lasting | None = rows_of.expect(plan, kind, what, Client)
        case Kind.CODE:
            held = rows_of.expect(plan, kind, what, Code)
        case Kind.DEVICE:
            held = rows_of.expect(plan, kind, what, Device)
        case _:
            held = rows_of.expect(plan, kind, what, Grant)
    plan_done(plan, due)
    if held is None or held.ends_ms > due.when_ms:
        return
    if isinstance(held, Device):
        _plan_gone(plan, what, held)
    elif isinstance(held, Client):
        clients.plan_forget(plan, what.decode())
    else:
        rows_of.plan_remove(plan, kind, what)
