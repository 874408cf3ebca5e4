"""ports.Auth: full address and password to a principal, fast for owners, dear for guessers.

remembered  a credential verified lately from the same network costs one HMAC. It is bound to the
            account's password hash, so a changed password is refused at the next attempt that sees
            the change, on this node when it has applied it; what is kept of the password is a MAC
            under a key that never leaves this process.
limited     failures are counted by network and by account; an attempt beyond them is refused
            before any hashing. The account's limit does not count against a network that has
            remembered credentials of it, so a stranger cannot lock the owner out from home; and
            who is remembered gets in from a network that is over its limit, so a neighbour's
            device locks nobody out. What is guessed of him there has a limit of its own.
once        the same attempt made many times at once (a client opening its connections) is one hash.
alike       an unknown address costs the same work as a wrong password; to SCRAM it has a salt.
shown       a certificate that TLS has verified opens the account whose address it names; one that
            names nobody's is a failure of the network, for there is nothing to guess of an account.
"""

import hmac
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from node.bearer import BearerAuth
from node.limits import Buckets, network_of
from node.passwords import Passwords
from protocols import scram
from protocols.ports import (
    AuthBusy,
    AuthFailed,
    Clock,
    NotForOthers,
    Principal,
    Reader,
    ScramAttempt,
)
from protocols.scram import ScramKeys
from storage.accounts import Account, by_address, get_account
from storage.ids import AccountId
from storage.push_rows import PUSH_KEY_KEY
from storage.view import View

# Verified credentials remembered; at more, the longest unused is forgotten.
REMEMBERED_MAX: Final = 10_000
REMEMBERED_S: Final = 300.0
# Wrong passwords of one network: so many at once, then one in 12 s. A family behind one address
# with a stale phone does not reach it; a guesser gets 7,200 tries a day.
NETWORK_BURST: Final = 20.0
NETWORK_PER_S: Final = 1 / 12
# Wrong passwords of one account, whoever tries: the distributed guesser's share.
ACCOUNT_BURST: Final = 40.0
ACCOUNT_PER_S: Final = 1 / 12
# RFC 5321 4.5.3.1.3: no address is longer; a longer name is nobody's.
USERNAME_CHARS_MAX: Final = 320

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 18


@dataclass(frozen=True, slots=True)
class _Remembered:
    account: AccountId
    mac: bytes
    until_s: float


@dataclass(frozen=True, slots=True, repr=False)
class _ScramAttempt:
    """ports.ScramAttempt."""

    keys: ScramKeys
    nonce: bytes
    prove: Callable[[Callable[[], bytes | None]], tuple[Principal, bytes]]


class _Attempt:
    """A name and password being proved; `proved` None until it is, or when it could not be."""

    def __init__(self) -> None:
        self.decided = trio.Event()
        self.proved: bool | None = None


class PasswordAuth:
    """The password authentication of one node."""

    def __init__(
        self,
        reader: Reader,
        passwords: Passwords,
        clock: Clock,
        *,
        random_bytes: Callable[[int], bytes],
        remembered_s: float = REMEMBERED_S,
        remembered_max: int = REMEMBERED_MAX,
    ) -> None:
        self._reader = reader
        self._passwords = passwords
        self._clock = clock
        self._random_bytes = random_bytes
        self._key = random_bytes(_KEY_BYTES)
        self._remembered_s = remembered_s
        self._remembered_max = remembered_max
        self._attempts: dict[tuple[str, str, bytes], _Attempt] = {}
        self._remembered: OrderedDict[tuple[str, str], _Remembered] = OrderedDict()
        self._networks = Buckets(
            burst=NETWORK_BURST, per_s=NETWORK_PER_S, monotonic_s=clock.monotonic_s
        )
        self._neighbours = Buckets(
            burst=NETWORK_BURST, per_s=NETWORK_PER_S, monotonic_s=clock.monotonic_s
        )
        self._accounts = Buckets(
            burst=ACCOUNT_BURST, per_s=ACCOUNT_PER_S, monotonic_s=clock.monotonic_s
        )
        self._bearers = BearerAuth(reader, clock, self._networks)

    async def password(self, username: str, password: str, *, remote: str) -> Principal:
        """ports.Auth: raises AuthFailed, AuthBusy, Unavailable."""
        if len(username) > USERNAME_CHARS_MAX:
            raise AuthFailed("wrong name or password")
        network = network_of(remote)
        # A guess at one who is remembered costs an HMAC alone, so it is counted where the network
        # can be charged no more.
        place = f"{network} {username}"
        is_open = self._networks.ready(network)
        if is_open or self._neighbours.ready(place):
            known = self._recall(username, network, password)
            if known is not None:
                return known
        if is_open:
            return await self._prove(username, password, network)
        if (username, network) in self._remembered:
            self._neighbours.take(place)
        raise AuthBusy("too many failures from your network, try again later")

    async def _prove(self, username: str, password: str, network: str) -> Principal:
        """The long way: newest state, and a hash; the same attempt at the same time only once."""
        view = await self._reader.view()
        account, record = _find(view, username)
        attempt = (username, network, self._mac(record, password))
        under_way = self._attempts.get(attempt)
        if under_way is None:
            under_way = self._attempts[attempt] = _Attempt()
            try:
                await self._decide(under_way, username, network, record, password)
            finally:
                del self._attempts[attempt]
                under_way.decided.set()
        else:
            await under_way.decided.wait()
        if under_way.proved is None:
            raise AuthBusy("the attempt was cut short, try again")
        if not under_way.proved or account is None or record is None:
            raise AuthFailed("wrong name or password")
        self._remember(username, network, account, record, password)
        return Principal(account, record.address)

    async def _decide(
        self,
        attempt: _Attempt,
        username: str,
        network: str,
        record: Account | None,
        password: str,
    ) -> None:
        """One hash, paid for by a token of the network and one of the account if it is wrong."""
        # One bucket for every spelling of an account's names; strangers' names have their own.
        name = username.casefold() if record is None else record.address
        trusted = (username, network) in self._remembered
        self._charge(network, name, trusted=trusted)
        try:
            held = None if record is None else record.password
            attempt.proved = await self._passwords.check(password, held)
        finally:
            if attempt.proved is not False:  # right, or not decided: held against nobody
                self._networks.put_back(network)
                if not trusted:
                    self._accounts.put_back(name)

    def _charge(self, network: str, name: str, *, trusted: bool) -> None:
        """Taken before the hash runs, or a thousand attempts at once would all find it free."""
        if not trusted and not self._accounts.take(name):
            raise AuthBusy("too many failures for this account, try again later")
        if not self._networks.take(network):
            if not trusted:
                self._accounts.put_back(name)
            raise AuthBusy("too many failures from your network, try again later")

    async def bearer(self, token: str, *, authzid: str = "", remote: str) -> Principal:
        """ports.Auth: raises AuthFailed, NotForOthers, ScopeMissing, AuthBusy, Unavailable."""
        return await self._bearers.prove(token, authzid, remote)

    async def scram(self, username: str, *, remote: str) -> ScramAttempt:
        """ports.Auth: raises AuthBusy, Unavailable."""
        known = username if len(username) <= USERNAME_CHARS_MAX else ""
        network = network_of(remote)
        if not self._networks.ready(network):
            raise AuthBusy("too many failures from your network, try again later")
        view = await self._reader.view()
        account, record = _find(view, known)
        trusted = (known, network) in self._remembered
        name = known.casefold() if record is None else record.address

        def prove(final: Callable[[], bytes | None]) -> tuple[Principal, bytes]:
            self._charge(network, name, trusted=trusted)
            said = final()
            if said is None:
                raise AuthFailed("wrong name or password")
            assert account is not None and record is not None, "nobody's keys prove nothing"
            self._networks.put_back(network)
            if not trusted:
                self._accounts.put_back(name)
            return Principal(account, record.address), said

        keys = None if record is None else scram.parse_keys(record.scram)
        nonce = self._random_bytes(_NONCE_BYTES)
        return _ScramAttempt(keys or self._nobody(view, name), nonce, prove)

    async def certificate(
        self, addresses: Sequence[str], *, authzid: str, remote: str
    ) -> Principal:
        """ports.Auth: raises AuthFailed, NotForOthers, AuthBusy, Unavailable."""
        network = network_of(remote)
        if not self._networks.take(network):
            raise AuthBusy("too many failures from your network, try again later")
        try:
            view = await self._reader.view()
        except BaseException:
            self._networks.put_back(network)  # not decided: held against nobody
            raise
        found = {_find(view, address)[0] for address in addresses} - {None}
        account = found.pop() if len(found) == 1 else None
        record = None if account is None else get_account(view, account)
        if account is None or record is None:
            raise AuthFailed("the certificate names no account, or several")
        if authzid and (len(authzid) > USERNAME_CHARS_MAX or _find(view, authzid)[0] != account):
            raise NotForOthers("acting for another user is not offered")
        self._networks.put_back(network)
        return Principal(account, record.address)

    def _nobody(self, view: View, name: str) -> ScramKeys:
        """Keys that fit no password, with a salt that is the same on every node and each time."""
        secret = view.get(PUSH_KEY_KEY) or self._key
        salt = hmac.digest(secret, f"salt of {name}".encode("utf-8", "surrogatepass"), "sha256")
        drawn = self._random_bytes(_KEY_BYTES)
        return ScramKeys(salt[: scram.SALT_BYTES], scram.ITERATIONS, drawn, drawn)

    # --- what is remembered

    def _recall(self, username: str, network: str, password: str) -> Principal | None:
        place = (username, network)
        held = self._remembered.get(place)
        if held is None:
            return None
        record = get_account(self._reader.local(), held.account)
        if record is None or self._clock.monotonic_s() >= held.until_s:
            del self._remembered[place]
            return None
        if not hmac.compare_digest(held.mac, self._mac(record, password)):
            return None  # another password, or another hash: the long way decides
        self._remembered.move_to_end(place)
        return Principal(held.account, record.address)

    def _remember(
        self, username: str, network: str, account: AccountId, record: Account, password: str
    ) -> None:
        until_s = self._clock.monotonic_s() + self._remembered_s
        place = (username, network)
        self._remembered[place] = _Remembered(account, self._mac(record, password), until_s)
        self._remembered.move_to_end(place)
        if len(self._remembered) > self._remembered_max:
            self._remembered.popitem(last=False)

    def _mac(self, record: Account | None, password: str) -> bytes:
        """Of the password, under our key, bound to the hash it was proved against."""
        held = "" if record is None else record.password
        bound = f"{held}\0{password}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, bound, "sha256")


def _find(view: View, username: str) -> tuple[AccountId | None, Account | None]:
    account = by_address(view, username)
    record = None if account is None else get_account(view, account)
    return (account, record) if record is not None else (None, None)
