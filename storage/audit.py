"""What a whole node can say of its own rows: derived ones made anew from primary ones, in steps.

An account is audited under its version: if that stayed the same, what was found stands. The
system account holds the directory and which blobs there are.
"""

from storage import keys
from storage.accounts import ACCOUNTS, DOMAINS, get_account
from storage.engine import Rows, prefix_end
from storage.ids import SYSTEM_ACCOUNT, AccountId, BlobId
from storage.lists import LISTS
from storage.mail.recount import recount_in_steps
from storage.slices import DIFFERENCES_MAX, STEP_ROWS, Steps, pages
from storage.subscriptions import lone_watches, recount_subscriptions
from storage.values import unpack_u64


def next_account(rows: Rows, after: AccountId | None) -> AccountId | None:
    """The next account that has any row, in order of id."""
    start = keys.REPLICATED_RANGE[0] if after is None else keys.account_range(after)[1]
    found = rows.scan(start, keys.REPLICATED_RANGE[1], limit=1)
    return keys.account_of(found[0][0]) if found else None


def audit_account(rows: Rows, account: AccountId) -> Steps[list[str]]:
    """What is wrong in one account, in words."""
    if account == SYSTEM_ACCOUNT:
        wrong = yield from ACCOUNTS.recount_in_steps(rows, account)
        wrong += yield from DOMAINS.recount_in_steps(rows, account)
        wrong += yield from LISTS.recount_in_steps(rows, account)
        wrong += yield from lone_watches(rows)
        return wrong[:DIFFERENCES_MAX]
    wrong = yield from recount_in_steps(rows, account)
    wrong += yield from recount_subscriptions(rows, account)
    if get_account(rows, account) is None:
        wrong.append("it has rows, and the directory does not know it")
    links = keys.account_prefix(account) + b"b"
    for page in pages(rows, (links, prefix_end(links))):
        for key, _ in page:
            blob = keys.unpack_blob_link_key(key)[0]
            if rows.get(keys.blob_key(blob)) is None:
                wrong.append(f"blob {blob.hex()} is held and is not there")
        yield
    return wrong[:DIFFERENCES_MAX]


def blobs_page(rows: Rows, after: BlobId | None) -> list[tuple[BlobId, int]]:
    """The next blobs that are whole, and their sizes, in order of name."""
    start, end = keys.blobs_range(b"B")
    if after is not None:
        start = keys.blob_key(after) + b"\x00"
    held = rows.scan(start, end, limit=STEP_ROWS)
    return [(BlobId(key[-32:]), unpack_u64(value)) for key, value in held]
