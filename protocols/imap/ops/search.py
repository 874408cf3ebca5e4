"""SEARCH and UID SEARCH (RFC 9051 6.4.4).

Walks the mailbox in slices and asks each message no more than it must (matching.py).
"""

from collections.abc import Callable, Sequence
from functools import partial

import trio

from protocols.imap.filters import UndefinedFilter, expand_filters, has_filters
from protocols.imap.matching import Facts, Naming, Test, compile_key
from protocols.imap.ops.context import SLICE_MESSAGES, Context
from protocols.imap.ops.esearch import modseq_told, render_esearch, to_save
from protocols.imap.ops.facts import read_header_of, read_text_of, read_views_of
from protocols.imap.ops.fetch import read_rows, windows
from protocols.imap.ops.metadata import read_filter
from protocols.imap.responses import CHARSETS_CODE, Ending, no, ok
from protocols.imap.search_commands import (
    And,
    ChangedSince,
    Not,
    NotSearched,
    Numbers,
    Or,
    Search,
    SearchKey,
    SearchReturn,
)
from protocols.imap.selected import Positions, Selected
from protocols.imap.sets import runs
from protocols.ports import Unavailable
from storage.ids import EmailId, ThreadId
from storage.keys import thread_key
from storage.mail.records import unpack_thread


async def search(context: Context, command: Search) -> Ending:
    """RFC 9051 6.4.4."""
    selected = context.mailbox
    returns = command.returns or frozenset()
    key = await filled(context, command.key, saves=SearchReturn.SAVE in returns)
    found = await find(context, key, saves=SearchReturn.SAVE in returns)
    kept = to_save(returns, found, command.partial)
    if SearchReturn.SAVE in returns:
        selected.save(runs(selected.uids[at] for at in kept))
    _tell(context, command, found, await highest_of(context, key, kept))
    verb = "UID SEARCH completed" if command.uid else "SEARCH completed"
    return ok(verb, b"EXPUNGEISSUED" if selected.hides_expunges else None)


async def not_searched(context: Context, command: NotSearched) -> Ending:
    """RFC 9051 6.4.4.1: a search that was to be saved and ends in NO saves the empty set."""
    context.mailbox.save([])
    return no("only US-ASCII and UTF-8 are searched", CHARSETS_CODE)


async def filled(context: Context, key: SearchKey, *, saves: bool = False) -> SearchKey:
    """The search with its filters' searches in their place; raises UndefinedFilter."""
    if not has_filters(key):
        return key
    try:
        await context.barrier()
        return expand_filters(key, partial(read_filter, context))
    except (Unavailable, UndefinedFilter):
        if saves:
            context.mailbox.save([])  # RFC 9051 6.4.4.1, as below
        raise


async def find(context: Context, key: SearchKey, *, saves: bool = False) -> list[int]:
    """Positions of the messages that match now, ascending; raises Unavailable."""
    selected = context.mailbox
    if _asks_modseq(key):
        context.know_modseqs()
    try:
        await context.barrier()
    except Unavailable:
        if saves:
            selected.save([])  # RFC 9051 6.4.4.1: a search that fails saves nothing found
        raise
    # New messages may be found, so the client must count them; expunges wait (7.5.1).
    context.catch_up(expunges=False)

    def positions(numbers: Numbers) -> list[Positions]:
        return selected.positions(numbers.numbers, uid=numbers.uid, strict=False)

    def emails(thread: ThreadId) -> frozenset[EmailId]:
        held = context.local().get(thread_key(selected.account, thread))
        members = () if held is None else unpack_thread(held).members
        return frozenset([member.email for member in members])

    naming = Naming(positions, emails, context.ports.clock.now_ms())
    return await _find(context, compile_key(key, naming), _scope(selected, key, positions))


def _asks_modseq(key: SearchKey) -> bool:
    match key:
        case ChangedSince():
            return True
        case Not():
            return _asks_modseq(key.key)
        case Or():
            return _asks_modseq(key.left) or _asks_modseq(key.right)
        case And():
            return any(map(_asks_modseq, key.keys))
        case _:
            return False


async def highest_of(context: Context, key: SearchKey, told: Sequence[int]) -> int:
    """RFC 7162 3.1.6, RFC 4731 3.2: the highest MODSEQ of what is told (ascending), where the key
    asks for one; 0: it does not, or there is none.
    """
    highest = 0
    if not _asks_modseq(key):
        return highest
    for window in windows([(low, high + 1) for low, high in runs(told)], SLICE_MESSAGES):
        rows = read_rows(context.local(), context.mailbox, window)
        highest = max(highest, *(row.modseq for _, _, row in rows), 0)
        await trio.lowlevel.checkpoint()
    return highest


def _scope(
    selected: Selected, key: SearchKey, positions: Callable[[Numbers], list[Positions]]
) -> list[Positions]:
    """Which messages need be looked at: those of a set that all must be in, or all."""
    for inner in key.keys if isinstance(key, And) else (key,):
        if isinstance(inner, Numbers):
            return positions(inner)
    count = len(selected.uids)
    return [(0, count)] if count else []


async def _find(context: Context, test: Test, scope: list[Positions]) -> list[int]:
    """Positions of the messages that match, ascending."""
    found: list[int] = []
    goal = sum(end - first for first, end in scope)
    done = 0
    for window in windows(scope, SLICE_MESSAGES):
        rows = read_rows(context.local(), context.mailbox, window)
        undecided: list[Facts] = []
        for sequence, uid, row in rows:
            facts = Facts(sequence - 1, uid, row)
            matches = test(facts)
            if matches is None:
                undecided.append(facts)
            elif matches:
                found.append(facts.position)
        if undecided:
            found += await _decide(context, test, undecided)
            found.sort()
        done += len(rows)
        await context.progress(done, goal)
        await trio.lowlevel.checkpoint()
    return found


async def _decide(context: Context, test: Test, undecided: list[Facts]) -> list[int]:
    """Those that match of messages whose rows did not tell."""
    found: list[int] = []
    read_views_of(context, undecided)
    for facts in undecided:
        matches = test(facts)
        if matches is None:
            await read_header_of(context, facts)
            matches = test(facts)
        if matches is None:
            await read_text_of(context, facts)
            matches = test(facts)
            await trio.lowlevel.checkpoint()
        assert matches is not None, "all facts are read"
        if matches:
            found.append(facts.position)
        facts.header = facts.text = facts.view = None  # a slice holds one message's text at most
    return found


def _tell(context: Context, command: Search, found: Sequence[int], highest: int) -> None:
    selected = context.mailbox
    numbers = [selected.uids[at] if command.uid else at + 1 for at in found]
    returns = command.returns
    if returns is None:
        if not context.rev2:
            listed = b"".join(b" %d" % number for number in numbers)
            context.out.add(b"* SEARCH%b%b\r\n" % (listed, modseq_told(b" (MODSEQ %d)", highest)))
            return
        returns = frozenset({SearchReturn.ALL})
    if returns == {SearchReturn.SAVE}:
        return  # RFC 9051 6.4.4.1: then there is no ESEARCH response
    told = render_esearch(context.tag, command.uid, returns, numbers, command.partial)
    context.out.add(told + modseq_told(b" MODSEQ %d", highest) + b"\r\n")
