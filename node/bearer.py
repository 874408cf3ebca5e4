"""Access tokens to principals (RFC 6750), the half of ports.Auth that passwords have no part in.

newest      each token is proved against the newest state, however often it has come: whatever was
            revoked, anywhere, opens nothing afterwards. Barriers are shared and a hash of SHA-256
            costs next to nothing, so nothing is gained by believing what was true a while ago.
limited     what names no grant counts against the network as wrong passwords do, before it is
            looked at. One that does is no guess, for nobody guesses a grant's number: a client
            whose token is over, in all its connections at once, locks nobody out; nor is it locked
            out, with a good one, by a neighbour.
"""

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
from storage.grants import Access, names_grant, prove_access
from storage.view import View

_BUSY: Final = "too many failures from your network, try again later"


class BearerAuth:
    """The tokens of one node's doors; `networks` are the limits that passwords share."""

    def __init__(self, reader: Reader, clock: Clock, networks: Buckets) -> None:
        self._reader = reader
        self._clock = clock
        self._networks = networks

    async def prove(self, token: str, authzid: str, remote: str) -> Principal:
        """Raises AuthFailed, NotForOthers, ScopeMissing, AuthBusy, Unavailable."""
        network = network_of(remote)
        # This node may not know of the grant yet; then it is paid for until that is seen.
        paid = not names_grant(self._reader.local(), token)
        if paid and not self._networks.take(network):
            raise AuthBusy(_BUSY)
        guessed = False
        try:
            view = await self._reader.view()
            guessed = not names_grant(view, token)
        finally:
            if paid and not guessed:  # it was one, or was not looked at
                self._networks.put_back(network)
        access = prove_access(view, token, self._clock.now_ms())
        if access is None:
            raise AuthFailed("the token is none, or none any more")
        return _principal(view, access, authzid)


def _principal(view: View, access: Access, authzid: str) -> Principal:
    record = get_account(view, access.account)
    if record is None:
        raise AuthFailed("the account is gone")
    if MAIL_SCOPE not in access.scopes:
        raise ScopeMissing(f"the token is not for {MAIL_SCOPE}")
    if authzid and by_address(view, authzid) != access.account:
        raise NotForOthers("the token is another account's")
    return Principal(access.account, record.address, access=access)
