"""Rows of OAuth, in the system account: clients, codes, devices and grants, each until its time.

    O  kind u8 | id ...   -> a record (MessagePack array) that begins with when it ends

       c  client      id text                      who may ask
       n  unproven    created_ms u64 | client id   registered, and nobody has let it in yet
       a  code        account u64 | number u64     an authorization code
       d  device      number u64                   a device code
       u  user code   letters                      -> the device's number, u64
       g  grant       account u64 | number u64     what a user has let a client do
       m  mark        account u64                  -> changes u64 | revocations u64

A token is shown once: a word for its kind, then in base64url the numbers that are its row's id,
and random secrets of which the row has the SHA-256 alone. Numbers are random too.

Every row that ends has a thing due at that time (storage/due.py); writing it anew moves that.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Final, TypeVar

import msgspec

from storage.due import Due, plan_done, plan_due
from storage.engine import Rows, prefix_end
from storage.ids import SYSTEM_ACCOUNT, AccountId
from storage.keys import KeyRange, TypeCode, account_prefix
from storage.plan import Plan
from storage.values import pack_u64

SECRET_BYTES: Final = 32
NUMBER_BITS: Final = 63
_HASH_BYTES: Final = 32

_PREFIX: Final = account_prefix(SYSTEM_ACCOUNT) + b"O"
_PAIR: Final = struct.Struct(">QQ")
_ENCODER: Final = msgspec.msgpack.Encoder()


class Kind(IntEnum):
    """Which row. On disk; only add."""

    CLIENT = ord("c")
    UNPROVEN = ord("n")
    CODE = ord("a")
    DEVICE = ord("d")
    USER_CODE = ord("u")
    GRANT = ord("g")
    MARK = ord("m")


class Lasting(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """A record with an end, in milliseconds since 1970."""

    ends_ms: int


class Client(Lasting, array_like=True, frozen=True, kw_only=True):
    """A program that has registered (RFC 7591). `proven`: some user has let it in."""

    created_ms: int
    name: str
    uri: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    proven: bool = False


class Code(Lasting, array_like=True, frozen=True, kw_only=True):
    """An authorization code; `used` is the number of the grant that it gave, 0 for none yet.

    One that stands behind an approved device code has no secret: the device code is that.
    """

    secret: bytes
    client: str
    client_name: str
    redirect_uri: str
    challenge: str
    scopes: tuple[str, ...]
    used: int = 0


class Device(Lasting, array_like=True, frozen=True, kw_only=True):
    """A device code (RFC 8628), good until `until_ms` and remembered longer; `code` is what a user
    gave it: whose account, which code. `site` is the network it was asked for from."""

    until_ms: int
    secret: bytes
    user_code: str
    client: str
    client_name: str
    scopes: tuple[str, ...]
    failures: int = 0
    denied: bool = False
    code: tuple[int, int] | None = None
    site: str = ""


class Grant(Lasting, array_like=True, frozen=True, kw_only=True):
    """What a user has let a client do, until its refresh token ends.

    `family` is the hash of what all its refresh tokens share. `refresh` are the hashes of those
    that are good; `spent` those of the ones before, one after the other, forgiven until
    `forgiven_ms`. `access` are its access tokens: hash, end and scopes, the oldest first.
    """

    client: str
    client_name: str
    scopes: tuple[str, ...]
    created_ms: int
    used_ms: int
    family: bytes
    refresh: tuple[bytes, ...]
    spent: bytes
    forgiven_ms: int
    access: tuple[tuple[bytes, int, tuple[str, ...]], ...]


L = TypeVar("L", bound=Lasting)
_KINDS: Final[dict[Kind, type[Lasting]]] = {
    Kind.CLIENT: Client,
    Kind.CODE: Code,
    Kind.DEVICE: Device,
    Kind.GRANT: Grant,
}


# --- keys


def row_key(kind: Kind, what: bytes) -> bytes:
    """One row."""
    return _PREFIX + bytes((kind,)) + what


def row_range(kind: Kind, what: bytes = b"") -> KeyRange:
    """All rows of a kind whose id begins so."""
    prefix = row_key(kind, what)
    return prefix, prefix_end(prefix)


def pair(account: AccountId, number: int) -> bytes:
    """The id of a code or a grant."""
    return _PAIR.pack(account, number)


def unpack_pair(key: bytes) -> tuple[AccountId, int]:
    """Account and number of a code's or a grant's row."""
    account, number = _PAIR.unpack(key[len(_PREFIX) + 1 :])
    return AccountId(account), number


def row_id(key: bytes) -> bytes:
    """The id of a row."""
    return key[len(_PREFIX) + 1 :]


def text_of(key: bytes, skipped: int = 0) -> str:
    """The id of a client's row, or of what stands behind so many octets of it."""
    return key[len(_PREFIX) + 1 + skipped :].decode()


# --- records


def get(rows: Rows, kind: Kind, what: bytes, record: type[L]) -> L | None:
    """The record of a row."""
    held = rows.get(row_key(kind, what))
    return None if held is None else msgspec.msgpack.decode(held, type=record)


def expect(plan: Plan, kind: Kind, what: bytes, record: type[L]) -> L | None:
    """The record of a row on which the plan then depends."""
    held = plan.expect(row_key(kind, what))
    return None if held is None else msgspec.msgpack.decode(held, type=record)


def scan(
    rows: Rows, kind: Kind, what: bytes, record: type[L], *, limit: int
) -> list[tuple[bytes, L]]:
    """Keys and records of the rows of a kind whose id begins so."""
    return [
        (key, msgspec.msgpack.decode(value, type=record))
        for key, value in rows.scan(*row_range(kind, what), limit=limit)
    ]


def plan_write(plan: Plan, kind: Kind, what: bytes, record: Lasting) -> None:
    """Leave the record there until its end."""
    held = expect(plan, kind, what, _KINDS[kind])
    if held is None or held.ends_ms != record.ends_ms:
        if held is not None:
            plan_done(plan, _due(kind, what, held))
        plan_due(plan, _due(kind, what, record))
    plan.put(row_key(kind, what), _ENCODER.encode(record))


def plan_remove(plan: Plan, kind: Kind, what: bytes) -> None:
    """Leave nothing there; what is gone already stays so."""
    held = expect(plan, kind, what, _KINDS[kind])
    if held is not None:
        plan_done(plan, _due(kind, what, held))
        plan.delete(row_key(kind, what))


def _due(kind: Kind, what: bytes, record: Lasting) -> Due:
    return Due(record.ends_ms, TypeCode.GRANT, SYSTEM_ACCOUNT, bytes((kind,)) + what)


def draw_number(plan: Plan) -> int:
    """A number for a row: nobody guesses it, and it is never 0."""
    return plan.chance.getrandbits(NUMBER_BITS) or 1


def pack_number(number: int) -> bytes:
    """The id of a device."""
    return pack_u64(number)


# --- tokens


class Word(msgspec.Struct, frozen=True):
    """How a kind of token looks: its first letters, numbers of the row's id, secrets."""

    letters: str
    numbers: int
    secrets: int

    @property
    def octets(self) -> int:
        """What is in base64url."""
        return 8 * self.numbers + SECRET_BYTES * self.secrets


# The letters let whoever finds a token in a log or a file see what it is, and tools look for it.
ACCESS: Final = Word("tra_", 2, 1)
REFRESH: Final = Word("trr_", 2, 2)
CODE: Final = Word("trc_", 2, 1)
DEVICE: Final = Word("trd_", 1, 1)


def render_token(word: Word, numbers: Sequence[int], *secrets: bytes) -> str:
    """The token as a client has it."""
    assert len(numbers) == word.numbers and len(secrets) == word.secrets, word
    octets = b"".join([*map(pack_u64, numbers), *secrets])
    return word.letters + base64.urlsafe_b64encode(octets).decode().rstrip("=")


def parse_token(word: Word, token: str) -> tuple[tuple[int, ...], tuple[bytes, ...]] | None:
    """Numbers and secrets of a client's token, or None: one of this kind we never gave."""
    if len(token) != len(word.letters) + -(-word.octets * 4 // 3):
        return None
    if not (token.isascii() and token.startswith(word.letters)):
        return None
    text = token.removeprefix(word.letters)
    try:
        octets = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    head = 8 * word.numbers
    numbers = struct.unpack(f">{word.numbers}Q", octets[:head])
    secrets = [octets[at : at + SECRET_BYTES] for at in range(head, word.octets, SECRET_BYTES)]
    return numbers, tuple(secrets)


def hashed(secret: bytes) -> bytes:
    """What a row has of a secret."""
    return hashlib.sha256(secret).digest()


def cut(hashes: bytes) -> list[bytes]:
    """Hashes that stand one after the other."""
    return [hashes[at : at + _HASH_BYTES] for at in range(0, len(hashes), _HASH_BYTES)]


def is_one_of(secret: bytes, hashes: Sequence[bytes]) -> bool:
    """Whether a secret's hash is among these, in the same time whichever it is."""
    own, found = hashed(secret), False
    for each in hashes:
        found |= hmac.compare_digest(own, each)
    return found
