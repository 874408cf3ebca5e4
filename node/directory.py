"""ports.Directory: whose mail is this address's.

Looked up exactly first, aliases and mailing lists included, then without its detail (RFC 5233:
user+detail is user's mail), in either spelling of an internationalised domain; then whoever has
the domain's catch-all. How an address is folded is storage.addresses' business; logins never come
through here, a detail is no name to log in with.

A list is expanded into everybody it leads to, each once however many lists name him; a list met
again is passed over, so lists may name each other in a circle.
"""

from collections.abc import Iterator
from typing import Final

from protocols.ports import Route, TooManyMembers
from storage import lists
from storage.accounts import by_address, catch_all, has_domain
from storage.addresses import SEPARATOR
from storage.ids import AccountId
from storage.lists import MailingList
from storage.view import View

# Addresses looked up for one list, with the lists in it: half a second of work at most.
ADDRESSES_MAX: Final = 10_000
_A_LABEL: Final = "xn--"  # RFC 5890 2.3.2.1
LABEL_CHARS_MAX: Final = 63  # RFC 1035 2.3.4; longer labels are nobody's and not converted


class AccountDirectory:
    """Resolves recipients in the accounts and lists of a view."""

    def __init__(self, *, addresses_max: int = ADDRESSES_MAX) -> None:
        self._addresses_max = addresses_max

    def resolve(self, view: View, address: str) -> AccountId | None:
        """See ports.Directory."""
        found = _find(view, address)
        return None if isinstance(found, MailingList) else found

    def is_known(self, view: View, address: str) -> bool:
        """See ports.Directory."""
        return _find(view, address) is not None

    def route(self, view: View, address: str) -> Route | None:
        """See ports.Directory."""
        found = _find(view, address)
        if found is None:
            return None
        if not isinstance(found, MailingList):
            return Route((found,))
        accounts, elsewhere = self._expand(view, found)
        return Route(accounts, elsewhere, found.address, found.members)

    def _expand(
        self, view: View, first: MailingList
    ) -> tuple[tuple[AccountId, ...], tuple[str, ...]]:
        """Everybody a list leads to; raises TooManyMembers."""
        accounts: dict[AccountId, None] = {}
        elsewhere: dict[str, None] = {}
        seen = {first.address}
        waiting = [first]
        looked_up = 0
        for held in waiting:  # and those that are found on the way
            looked_up += len(held.members)
            if looked_up > self._addresses_max:
                raise TooManyMembers(first.address)
            for member in held.members:
                found = _find(view, member)
                if isinstance(found, MailingList):
                    if found.address not in seen:
                        seen.add(found.address)
                        waiting.append(found)
                elif found is not None:
                    accounts[found] = None
                elif not _is_ours(view, member):
                    elsewhere[member] = None
        return tuple(accounts), tuple(elsewhere)


def _find(view: View, address: str) -> AccountId | MailingList | None:
    """Who has the address, or its domain's catch-all."""
    local, _, domain = address.rpartition("@")
    user = local.partition(SEPARATOR)[0]
    locals_ = (local,) if user in ("", local) else (local, user)
    for spelling in _spellings(domain):
        for name in locals_:
            held = _holder(view, f"{name}@{spelling}")
            if held is not None:
                return held
    for spelling in _spellings(domain):
        if (to := catch_all(view, spelling)) and local:
            return _holder(view, to)
    return None


def _holder(view: View, address: str) -> AccountId | MailingList | None:
    account = by_address(view, address)
    return lists.by_address(view, address) if account is None else account


def _is_ours(view: View, address: str) -> bool:
    return any(has_domain(view, spelling) for spelling in _spellings(address.rpartition("@")[2]))


def _spellings(domain: str) -> Iterator[str]:
    """The domain as given, then with its labels in the other form (RFC 5890 2.3.2)."""
    yield domain
    labels = domain.lower().split(".")
    if not domain.isascii() or any(label.startswith(_A_LABEL) for label in labels):
        other = ".".join(_other_form(label) for label in labels)
        if other != domain:
            yield other


def _other_form(label: str) -> str:
    """A-label to U-label and back; a label that has no other form is itself."""
    if len(label) > LABEL_CHARS_MAX:
        return label
    try:
        if label.startswith(_A_LABEL):
            return label[len(_A_LABEL) :].encode("ascii").decode("punycode")
        return label if label.isascii() else _A_LABEL + label.encode("punycode").decode("ascii")
    except UnicodeError:
        return label
