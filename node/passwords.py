"""Password hashes: Argon2id as PHC strings, computed in threads, a few at a time.

One hash takes 20 MiB and some 50 ms of a core, so at most `threads` run at once and `waiting_max`
wait; one more raises AuthBusy at once. Passwords are prepared by SASLprep (RFC 4013, as RFC 4616 2
asks) both when hashed and when checked, so that however a keyboard composes é, it is the same.
"""

import base64
import re
import stringprep
import unicodedata
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import trio
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from protocols import scram
from protocols.ports import AuthBusy

T = TypeVar("T")

# OWASP's second choice of equals: 19 MiB, 2 passes, 1 lane. More memory would be taken by every
# guess of an attacker at the door as well.
MEMORY_KIB: Final = 19 * 1024
PASSES: Final = 2
LANES: Final = 1
SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
# A longer password is refused unread: preparing it would cost more than it proves.
PASSWORD_BYTES_MAX: Final = 1024
# Hashes brought from elsewhere may ask for so much work and no more.
FOREIGN_MEMORY_KIB_MAX: Final = 256 * 1024
FOREIGN_PASSES_MAX: Final = 16

_PHC: Final = re.compile(
    r"\$argon2id\$v=19\$m=([0-9]{1,9}),t=([0-9]{1,9}),p=([0-9]{1,3})"
    r"\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}\Z",
    re.ASCII,
)


class PasswordInvalid(Exception):
    """A password that cannot be used: empty, too long, or with forbidden characters."""


class RunBlocking(Protocol):
    """Runs work that takes long off the event loop: a thread, or in simulation at once."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """The result of `work()`, or what it raises."""


class Passwords:
    """The hashing of one node."""

    def __init__(
        self,
        run_blocking: RunBlocking,
        *,
        random_bytes: Callable[[int], bytes],
        threads: int = 2,
        waiting_max: int = 64,
        memory_kib: int = MEMORY_KIB,
    ) -> None:
        self._run_blocking = run_blocking
        self._random_bytes = random_bytes
        self._memory_kib = memory_kib
        self._seats = trio.CapacityLimiter(threads)
        self._present_max = threads + waiting_max
        self._present = 0
        self._nobody = self._unmatchable()

    async def hash(self, password: str) -> str:
        """The PHC string to keep. Raises PasswordInvalid, AuthBusy."""
        prepared = prepare(password)
        salt = self._random_bytes(SALT_BYTES)
        return await self._in_thread(lambda: self._derive(prepared, salt))

    async def scram(self, password: str) -> str:
        """What SCRAM needs of a password, to keep. Raises PasswordInvalid, AuthBusy."""
        prepared = prepare(password)
        salt = self._random_bytes(scram.SALT_BYTES)
        keys = await self._in_thread(lambda: scram.derive_keys(prepared, salt))
        return scram.render_keys(keys)

    async def check(self, password: str, phc: str | None) -> bool:
        """Whether the password is the one hashed. Raises AuthBusy.

        For None, an account that is not there or has no password, the same work is done and the
        answer is no: time does not tell who exists.
        """
        try:
            prepared = prepare(password)
        except PasswordInvalid:
            prepared, phc = b"", None
        return await self._in_thread(lambda: _verify(prepared, phc or self._nobody))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._present >= self._present_max:
            raise AuthBusy("too many passwords are being checked")
        self._present += 1
        try:
            async with self._seats:
                return await self._run_blocking(work)
        finally:
            self._present -= 1

    def _derive(self, prepared: bytes, salt: bytes) -> str:
        return Argon2id(
            salt=salt,
            length=HASH_BYTES,
            iterations=PASSES,
            lanes=LANES,
            memory_cost=self._memory_kib,
        ).derive_phc_encoded(prepared)

    def _unmatchable(self) -> str:
        """A hash of our usual cost that nobody knows a password of."""
        salt, digest = (
            base64.b64encode(self._random_bytes(size)).decode().rstrip("=")
            for size in (SALT_BYTES, HASH_BYTES)
        )
        return f"$argon2id$v=19$m={self._memory_kib},t={PASSES},p={LANES}${salt}${digest}"


def _verify(prepared: bytes, phc: str) -> bool:
    if not acceptable(phc):
        return False
    try:
        Argon2id.verify_phc_encoded(prepared, phc)
    except InvalidKey:
        return False
    return True


def acceptable(phc: str) -> bool:
    """A PHC string of Argon2id that asks for a bearable amount of work."""
    found = _PHC.match(phc)
    if found is None:
        return False
    memory_kib, passes, lanes = int(found[1]), int(found[2]), int(found[3])
    return (
        8 * lanes <= memory_kib <= FOREIGN_MEMORY_KIB_MAX
        and 1 <= passes <= FOREIGN_PASSES_MAX
        and lanes >= 1
    )


def prepare(password: str) -> bytes:
    """RFC 4013: one spelling of the password, as UTF-8. Raises PasswordInvalid."""
    if len(password) > PASSWORD_BYTES_MAX:
        raise PasswordInvalid("the password is too long")
    if not password.isascii():
        mapped = "".join(_mapped(char) for char in password)
        password = unicodedata.normalize("NFKC", mapped)
    if not password or any(_prohibited(char) for char in password):
        raise PasswordInvalid("the password is empty or has forbidden characters")
    if not _bidi_agrees(password):
        raise PasswordInvalid("the password mixes directions of writing")
    prepared = password.encode()
    if len(prepared) > PASSWORD_BYTES_MAX:
        raise PasswordInvalid("the password is too long")
    return prepared


def _mapped(char: str) -> str:
    """RFC 4013 2.1."""
    if stringprep.in_table_c12(char):
        return " "
    return "" if stringprep.in_table_b1(char) else char


def _prohibited(char: str) -> bool:
    """RFC 4013 2.3; unassigned code points are let through, as for queries (2.5)."""
    return (
        stringprep.in_table_c12(char)
        or stringprep.in_table_c21_c22(char)
        or stringprep.in_table_c3(char)
        or stringprep.in_table_c4(char)
        or stringprep.in_table_c5(char)
        or stringprep.in_table_c6(char)
        or stringprep.in_table_c7(char)
        or stringprep.in_table_c8(char)
        or stringprep.in_table_c9(char)
    )


def _bidi_agrees(text: str) -> bool:
    """RFC 3454 6, by RFC 4013 2.4."""
    if not any(stringprep.in_table_d1(char) for char in text):
        return True
    if any(stringprep.in_table_d2(char) for char in text):
        return False
    return stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
