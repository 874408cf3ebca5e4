"""RFC 8621 3: Thread/get and Thread/changes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from protocols.jmap.context import Context
from protocols.jmap.standard import Answer, Kind, get, read_changes, read_get
from protocols.jmap.values import Arguments
from storage.engine import Rows
from storage.ids import AccountId, ThreadId, parse_thread, render_thread
from storage.keys import TypeCode
from storage.mail import messages
from storage.mail.messages import ALL_MAIL

_PROPERTIES: Final = ("id", "emailIds")


def _all_threads(rows: Rows, account: AccountId, limit: int) -> Sequence[ThreadId]:
    """Threads of the newest emails, until there are more than `limit` or no more emails."""
    found: dict[ThreadId, None] = {}
    after = None
    while len(found) < limit:
        page = messages.by_date(
            rows, account, ALL_MAIL, newest_first=True, after=after, limit=limit
        )
        if not page:
            break
        found.update((thread, None) for _, _, thread in page)
        after = page[-1][:2]
    return list(found)[:limit]


THREAD: Final = Kind(
    name="Thread",
    code=TypeCode.THREAD,
    parse_id=parse_thread,
    render_id=render_thread,
    all_ids=_all_threads,
    known=_PROPERTIES.__contains__,
    default=_PROPERTIES,
)


async def thread_get(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 3.1."""
    arguments = Arguments(raw)
    call = read_get(context, THREAD, arguments)
    arguments.done()
    return await get(context, THREAD, call, _renderer(context.rows, call.account, call.properties))


def _renderer(
    rows: Rows, account: AccountId, properties: Sequence[str]
) -> Callable[[ThreadId], bytes | None]:
    with_emails = "emailIds" in properties

    def render(thread: ThreadId) -> bytes | None:
        record = messages.thread(rows, account, thread)
        if record is None:
            return None
        if not with_emails:
            return b'{"id":"t%d"}' % thread
        emails = b",".join([b'"e%d"' % member.email for member in record.members])
        return b'{"id":"t%d","emailIds":[%b]}' % (thread, emails)

    return render


async def thread_changes(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 3.2."""
    answer, _ = read_changes(context, THREAD, Arguments(raw))
    return answer
