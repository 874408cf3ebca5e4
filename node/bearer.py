"""Access tokens to principals (RFC 6750), the half of ports.Auth that passwords have no part in.

newest      each token is proved against the newest state, however often it has come: whatever was
            revoked, anywhere, opens nothing afterwards. Barriers are shared and a hash of SHA-256
            costs next to nothing, so nothing is gained by believing what was true a while ago.
limited     what is no token counts against the network as wrong passwords do, before it is looked
            at. One that was good and is expired does not: its bearer asks before it refreshes.
remembered  a token that was good from here gets in from a network that is over its limit.
"""

import hashlib
from collections import OrderedDict
from typing import Final

from node.limits import Buckets, network_of
from protocols.bearer import MAIL_SCOPE
from protocols.ports import (
    AuthBusy,
    AuthFailed,
    Clock,
    NotForOthers,
    Principal,
    Reader,
    ScopeMissing,
)
from storage.accounts import by_address, get_account
from storage.grants import Access, prove_access
from storage.view import View

# At this time, all tokens that a grant still knows are good.
_ONCE_MS: Final = 0

_Place = tuple[bytes, str]


class BearerAuth:
    """The tokens of one node's doors; `networks` are the limits that passwords share."""

    def __init__(
        self,
        reader: Reader,
        clock: Clock,
        networks: Buckets,
        *,
        remembered_s: float,
        remembered_max: int,
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._networks = networks
        self._remembered_s = remembered_s
        self._remembered_max = remembered_max
        self._remembered: OrderedDict[_Place, float] = OrderedDict()

    async def prove(self, token: str, authzid: str, remote: str) -> Principal:
        """Raises AuthFailed, NotForOthers, ScopeMissing, AuthBusy, Unavailable."""
        network = network_of(remote)
        octets = token.encode("utf-8", "surrogatepass")
        place = (hashlib.sha256(octets).digest(), network)
        trusted = self._recall(place)
        if not trusted and not self._networks.take(network):
            raise AuthBusy("too many failures from your network, try again later")
        guessed = False
        try:
            view = await self._reader.view()
            access = prove_access(view, token, _ONCE_MS)
            guessed = access is None
        finally:
            if not trusted and not guessed:  # it was one, or was not looked at
                self._networks.put_back(network)
        if access is None or self._clock.now_ms() >= access.expires_ms:
            self._remembered.pop(place, None)
            raise AuthFailed("the token is none, or none any more")
        principal = _principal(view, access, authzid)
        self._remember(place)
        return principal

    def _recall(self, place: _Place) -> bool:
        until_s = self._remembered.get(place)
        return until_s is not None and self._clock.monotonic_s() < until_s

    def _remember(self, place: _Place) -> None:
        self._remembered[place] = self._clock.monotonic_s() + self._remembered_s
        self._remembered.move_to_end(place)
        if len(self._remembered) > self._remembered_max:
            self._remembered.popitem(last=False)


def _principal(view: View, access: Access, authzid: str) -> Principal:
    record = get_account(view, access.account)
    if record is None:
        raise AuthFailed("the account is gone")
    if MAIL_SCOPE not in access.scopes:
        raise ScopeMissing(f"the token is not for {MAIL_SCOPE}")
    if authzid and by_address(view, authzid) != access.account:
        raise NotForOthers("the token is another account's")
    return Principal(access.account, record.address, access=access)
