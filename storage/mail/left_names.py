"""Names that an account is subscribed to though no mailbox has them any more (RFC 9051 6.3.7).

    s  name UTF-8 -> (empty)

A subscription is a property of a mailbox (RFC 8621 2), and goes with it where a JMAP client
destroys it. IMAP's is of the name: a mailbox that is deleted there and made again by the same name
is subscribed as before. Names are whole, with the levels above, and as they are kept.
"""

from typing import Final

from storage.engine import Rows, prefix_end
from storage.ids import AccountId
from storage.keys import account_prefix
from storage.plan import Plan

# Names that one account may leave behind; at more, a subscription ends with its mailbox.
LEFT_NAMES_MAX: Final = 1_000
# A name that is longer is not left behind either; it would take up room in every listing.
LEFT_NAME_BYTES_MAX: Final = 1_024


def _key(account: AccountId, name: str) -> bytes:
    return account_prefix(account) + b"s" + name.encode()


def left_names(rows: Rows, account: AccountId) -> list[str]:
    """The names, in order of their octets."""
    prefix = account_prefix(account) + b"s"
    return [key[len(prefix) :].decode() for key, _ in rows.scan(prefix, prefix_end(prefix))]


def plan_leave_name(plan: Plan, account: AccountId, name: str) -> None:
    """A mailbox goes whose name stays subscribed."""
    if len(name.encode()) > LEFT_NAME_BYTES_MAX or len(left_names(plan, account)) >= LEFT_NAMES_MAX:
        return
    plan.put(_key(account, name), b"")


def plan_take_name(plan: Plan, account: AccountId, name: str) -> bool:
    """The name is a mailbox's again, or not subscribed any more; whether it was left here."""
    key = _key(account, name)
    if plan.get(key) is None:
        return False
    plan.delete(key)
    return True
