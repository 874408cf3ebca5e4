"""An account's version and its counters.

The counters row is written by the command that moves them, under the account's version (which
every such command expects), so they never drift from the rows they count (`recount.py` checks).
"""

from storage import keys
from storage.engine import Rows
from storage.ids import AccountId, Version
from storage.mail.records import AccountState, unpack_state
from storage.values import unpack_u64

_NEW: AccountState = AccountState()


def version(rows: Rows, account: AccountId) -> Version:
    """The account's change number: 0 before its first change."""
    held = rows.get(keys.version_key(account))
    return Version(0 if held is None else unpack_u64(held))


def state(rows: Rows, account: AccountId) -> AccountState:
    """The account's counters; all at their start for an account without mail."""
    held = rows.get(keys.state_key(account))
    return _NEW if held is None else unpack_state(held)
