"""ports.Directory: whose mail is this address's.

Looked up exactly first, aliases included, then without its detail (RFC 5233: user+detail is
user's mail), in either spelling of an internationalised domain. How an address is folded is
storage.accounts' business; logins never come through here, a detail is no name to log in with.
"""

from collections.abc import Iterator
from typing import Final

from storage.accounts import SEPARATOR, by_address
from storage.ids import AccountId
from storage.view import View

_A_LABEL: Final = "xn--"  # RFC 5890 2.3.2.1
LABEL_CHARS_MAX: Final = 63  # RFC 1035 2.3.4; longer labels are nobody's and not converted


class AccountDirectory:
    """Resolves recipients in the accounts of a view."""

    def resolve(self, view: View, address: str) -> AccountId | None:
        """Whose mail is addressed so, or None."""
        local, _, domain = address.rpartition("@")
        user = local.partition(SEPARATOR)[0]
        locals_ = (local,) if user in ("", local) else (local, user)
        for spelling in _spellings(domain):
            for name in locals_:
                account = by_address(view, f"{name}@{spelling}")
                if account is not None:
                    return account
        return None


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
