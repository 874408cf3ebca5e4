"""Which messages a search finds (RFC 9051 6.4.4): for SEARCH, SORT, THREAD and updating contexts.

Walks the mailbox in slices and asks each message no more than it must (matching.py).
"""

from collections.abc import Iterator, Sequence
from functools import partial

import trio

from protocols.imap.filters import UndefinedFilter, expand_filters, has_filters
from protocols.imap.fuzzy import check_words, score_of
from protocols.imap.matching import Facts, Naming, Test, compile_key, no_recent
from protocols.imap.ops.catching_up import catch_up
from protocols.imap.ops.context import SLICE_MESSAGES, Context, OverLimit
from protocols.imap.ops.facts import read_header_of, read_inner_of, read_text_of, read_views_of
from protocols.imap.ops.fetch import Row, read_rows, windows
from protocols.imap.ops.metadata import read_filter
from protocols.imap.search_commands import (
    And,
    ChangedSince,
    Fuzzy,
    Not,
    Numbers,
    Or,
    SearchKey,
    counts_messages,
)
from protocols.imap.selected import Positions, Selected
from protocols.imap.sets import runs
from protocols.imap.tokens import UidRequired
from protocols.ports import Unavailable
from storage.ids import EmailId, ThreadId
from storage.keys import thread_key
from storage.mail.errors import NoPermission
from storage.mail.records import unpack_thread

Scores = dict[int, int]
"""Positions of messages to how like what FUZZY asks for they are (RFC 6203 4)."""


async def filled(context: Context, key: SearchKey, *, saves: bool = False) -> SearchKey:
    """The search with its filters' searches in their place; raises UndefinedFilter."""
    if not has_filters(key):
        return key
    try:
        await context.barrier()
        expanded = expand_filters(key, partial(read_filter, context))
        if context.uid_only and counts_messages(expanded):
            raise UidRequired
        check_words(expanded)
        return expanded
    except (Unavailable, UndefinedFilter):
        if saves:
            context.mailbox.save([])  # RFC 9051 6.4.4.1, as below
        raise


async def find(
    context: Context,
    key: SearchKey,
    *,
    saves: bool = False,
    scores: Scores | None = None,
    whole: bool = False,
) -> list[int]:
    """Positions of the messages that match now, ascending. Raises Unavailable; and Damaged when one
    cannot be read here, for to leave it out would be to say that it does not match. `scores`: where
    to put how like what FUZZY asks for each is. `whole`: rather OverLimit than some of
    them."""
    selected = context.mailbox
    if asks_modseq(key):
        context.know_modseqs()
    try:
        await context.reading()
        # New messages may be found, so the client must count them; expunges wait (7.5.1).
        await catch_up(context, expunges=False)
        if whole:
            context.check_whole(_scope(selected, key, naming_of(context)))
        return await find_here(context, key, scores)
    except (Unavailable, NoPermission, OverLimit):
        if saves:
            selected.save([])  # RFC 9051 6.4.4.1: a search that fails saves nothing found
        raise


async def find_here(context: Context, key: SearchKey, scores: Scores | None = None) -> list[int]:
    """As `find`, of the mailbox as it was last looked at; of which nothing is told."""
    naming = naming_of(context)
    scope = context.newest(_scope(context.mailbox, key, naming))
    return await _find(context, compile_key(key, naming), scope, scores)


def naming_of(context: Context) -> Naming:
    """What numbers, threads and ages mean in the selected mailbox now."""
    selected = context.mailbox

    def positions(numbers: Numbers) -> list[Positions]:
        return selected.positions(numbers.numbers, uid=numbers.uid, strict=False)

    def emails(thread: ThreadId) -> frozenset[EmailId]:
        held = context.local().get(thread_key(selected.account, thread))
        members = () if held is None else unpack_thread(held).members
        return frozenset([member.email for member in members])

    recents = selected.recents
    is_recent = no_recent if recents is None else recents.__contains__
    return Naming(positions, emails, context.ports.clock.now_ms(), selected.owner, is_recent)


def asks_modseq(key: SearchKey) -> bool:
    """Whether the search names a MODSEQ, so that the answer tells one (RFC 7162 3.1.5)."""
    match key:
        case ChangedSince():
            return True
        case Not() | Fuzzy():
            return asks_modseq(key.key)
        case Or():
            return asks_modseq(key.left) or asks_modseq(key.right)
        case And():
            return any(map(asks_modseq, key.keys))
        case _:
            return False


async def highest_of(context: Context, key: SearchKey, told: Sequence[int]) -> int:
    """RFC 7162 3.1.6, RFC 4731 3.2: the highest MODSEQ of what is told (ascending), where the key
    asks for one; 0: it does not, or there is none.
    """
    highest = 0
    if not asks_modseq(key):
        return highest
    for window in windows([(low, high + 1) for low, high in runs(told)], SLICE_MESSAGES):
        rows = read_rows(context.local(), context.mailbox, window)
        highest = max(highest, *(row.modseq for _, _, row in rows), 0)
        await trio.lowlevel.checkpoint()
    return highest


def _scope(selected: Selected, key: SearchKey, naming: Naming) -> list[Positions]:
    """Which messages need be looked at: those of the sets that all must be in, or all."""
    count = len(selected.uids)
    scope = [(0, count)] if count else []
    for numbers in _demanded(key):
        scope = _in_both(scope, naming.positions(numbers))
    return scope


def _demanded(key: SearchKey) -> Iterator[Numbers]:
    """The sets of numbers that whatever matches is in."""
    if isinstance(key, Numbers):
        yield key
    elif isinstance(key, And):
        for inner in key.keys:
            yield from _demanded(inner)


def _in_both(some: list[Positions], others: list[Positions]) -> list[Positions]:
    found: list[Positions] = []
    at = 0
    for first, end in some:
        while at < len(others) and others[at][1] <= first:
            at += 1
        for low, high in others[at:]:
            if low >= end:
                break
            found.append((max(first, low), min(end, high)))
    return found


async def _find(
    context: Context, test: Test, scope: list[Positions], scores: Scores | None
) -> list[int]:
    """Positions of the messages that match, ascending."""
    found: list[int] = []
    goal = sum(end - first for first, end in scope)
    done = 0
    for window in windows(scope, SLICE_MESSAGES):
        rows = read_rows(context.local(), context.mailbox, window)
        found += await matching(context, test, rows, scores)
        done += len(rows)
        await context.progress(done, goal)
        await trio.lowlevel.checkpoint()
    return found


async def matching(
    context: Context, test: Test, rows: Sequence[Row], scores: Scores | None = None
) -> list[int]:
    """Positions of those of these messages that match, ascending."""
    found: list[int] = []
    undecided: list[Facts] = []
    for sequence, uid, row in rows:
        facts = Facts(sequence - 1, uid, row)
        matches = test(facts)
        if matches is None:
            undecided.append(facts)
        elif matches:
            found.append(facts.position)
            if scores is not None:
                scores[facts.position] = score_of(facts.likenesses)
    if undecided:
        found += await _decide(context, test, undecided, scores)
        found.sort()
    return found


async def _decide(
    context: Context, test: Test, undecided: list[Facts], scores: Scores | None
) -> list[int]:
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
        if matches is None:
            await read_inner_of(context, facts)
            matches = test(facts)
        assert matches is not None, "all facts are read"
        if matches:
            found.append(facts.position)
            if scores is not None:
                scores[facts.position] = score_of(facts.likenesses)
        # A slice holds one message's text at most.
        facts.header = facts.text = facts.inner = facts.view = facts.body = None
        facts.octets = ()
    return found
