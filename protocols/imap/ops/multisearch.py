"""ESEARCH: one search in several mailboxes, an answer for each where something is found (RFC 7377).

The selected mailbox is searched as the client counts it; another as it is now, and nothing of it is
told but what was found.
"""

from collections.abc import Sequence
from dataclasses import replace

from protocols.imap.contexts import Found, Watched
from protocols.imap.multisearch import is_named
from protocols.imap.ops.context import Context
from protocols.imap.ops.esearch import (
    UNSCORED,
    UNTOLD,
    is_unscored,
    modseq_told,
    render_esearch,
    to_save,
)
from protocols.imap.ops.finding import Scores, asks_modseq, filled, find, find_here, highest_of
from protocols.imap.ops.listing import Named, named_mailboxes, others_mailboxes
from protocols.imap.ops.places import find as find_place
from protocols.imap.ops.places import prefix_of
from protocols.imap.ops.updates import TAG_REUSED, is_tag_watched, refuse_update, watch
from protocols.imap.patterns import SEPARATOR
from protocols.imap.responses import Ending, bad, ok, render_mailbox
from protocols.imap.search_commands import MultiSearch, SearchKey, SearchReturn, Source
from protocols.imap.selected import Selected
from protocols.imap.sets import runs
from storage.engine import Rows
from storage.ids import AccountId, MailboxId
from storage.mail import sharing
from storage.mail.counts import read_counts
from storage.mail.errors import MailboxNotFound, NoPermission
from storage.mail.mailboxes import INBOX_ROLE, get_mailbox, path

_ALL = frozenset({SearchReturn.ALL})


async def multi_search(context: Context, command: MultiSearch) -> Ending:
    """RFC 7377 2."""
    returns = command.search.returns or _ALL
    refused = _refused(context, command, returns)
    if refused is not None:
        return refused
    key = await filled(context, command.search.key, saves=SearchReturn.SAVE in returns)
    if is_unscored(key, returns):
        return UNSCORED
    if asks_modseq(key):
        context.know_modseqs()
    view = await context.barrier()
    others = [one for one in others_mailboxes(view, context.account) if "r" in one.rights]
    chosen = _chosen(context, command, named_mailboxes(view, context.account) + others)
    chosen += _unlisted(context, command, {(one.owner, one.mailbox.id) for one in chosen})
    counts = [_count(view, context.account, one) for one in chosen]
    context.check_whole([(0, count) for count in counts if count])
    for named in chosen:
        if _is_selected(context, named):
            await _search_selected(context, command, key, named)
        else:
            await _search_another(context, command, key, named)
        if context.out.full:
            await context.out.flush()
    if SearchReturn.UPDATE in returns and not any(_is_selected(context, one) for one in chosen):
        refuse_update(context, context.tag, "The selected mailbox is not searched")
    hides = context.selected is not None and context.selected.hides_expunges
    return ok("ESEARCH completed", b"EXPUNGEISSUED" if hides else None)


def _count(rows: Rows, account: AccountId, named: Named) -> int:
    """How many messages there are to search."""
    counts = read_counts(rows, named.owner or account, named.mailbox.id)
    return 0 if counts is None else counts.emails


def _refused(
    context: Context, command: MultiSearch, returns: frozenset[SearchReturn]
) -> Ending | None:
    """RFC 7377 2.2: what needs a selected mailbox, and what is for that alone."""
    if context.selected is None and (
        Source.SELECTED in command.sources or SearchReturn.UPDATE in returns
    ):
        return bad("No mailbox is selected")
    if SearchReturn.SAVE in returns and command.sources.keys() != {Source.SELECTED}:
        return bad("Only what is found in the selected mailbox can be saved")
    return TAG_REUSED if is_tag_watched(context, returns) else None


def _chosen(context: Context, command: MultiSearch, named: Sequence[Named]) -> list[Named]:
    """The mailboxes to search, each once."""
    sources = command.sources

    def is_chosen(one: Named) -> bool:
        return (
            (Source.PERSONAL in sources and one.owner is None)
            or (Source.SELECTED in sources and _is_selected(context, one))
            or (Source.INBOXES in sources and one.mailbox.role == INBOX_ROLE)
            or (Source.SUBSCRIBED in sources and one.mailbox.subscribed)
            or is_named(sources, one.name)
        )

    return [one for one in named if is_chosen(one)]


def _unlisted(
    context: Context, command: MultiSearch, chosen: set[tuple[AccountId | None, MailboxId]]
) -> list[Named]:
    """RFC 7377 2.2: what is named itself, or selected, one need not be let list; "r" is enough."""
    rows, me, selected = context.local(), context.account, context.selected
    named: dict[tuple[AccountId, MailboxId], str] = {}
    for place in (find_place(rows, me, name) for name in command.sources.get(Source.MAILBOXES, ())):
        if place.mailbox is not None and not place.own and "r" in place.rights:
            named[place.account, place.mailbox.id] = place.rights
    if Source.SELECTED in command.sources and selected is not None and selected.owner is not None:
        rights = sharing.rights(rows, selected.owner, selected.mailbox, me)
        if "r" in rights:
            named[selected.owner, selected.mailbox] = rights
    found: list[Named] = []
    for (owner, mailbox), rights in sorted(named.items()):
        held, prefix = get_mailbox(rows, owner, mailbox), prefix_of(rows, owner)
        if (owner, mailbox) in chosen or held is None or prefix is None:
            continue
        name = SEPARATOR.join((prefix, *path(rows, owner, mailbox)))
        found.append(Named(held, name, has_children=False, owner=owner, rights=rights))
    return found


def _is_selected(context: Context, named: Named) -> bool:
    selected = context.selected
    holder = named.owner or context.account
    return selected is not None and (holder, named.mailbox.id) == (
        selected.account,
        selected.mailbox,
    )


async def _search_selected(
    context: Context, command: MultiSearch, key: SearchKey, named: Named
) -> None:
    selected, search = context.mailbox, command.search
    returns, seen = search.returns or _ALL, selected.seen
    scores: Scores | None = {} if SearchReturn.RELEVANCY in returns else None
    try:
        found = await find(context, key, saves=SearchReturn.SAVE in returns, scores=scores)
    except NoPermission:
        return  # RFC 7377 2.2: as if it had not been named
    correlators = await _tell(context, context, command, key, named, found, scores)
    if SearchReturn.UPDATE in returns:
        results = Found(selected.uids[at] for at in found)
        watched = Watched(context.tag, True, key, (), results, search.fetch, correlators)
        watch(context, watched, seen)
    if SearchReturn.SAVE in returns:
        kept = to_save(returns, found, search.partial)
        selected.save(runs(selected.uids[at] for at in kept))


async def _search_another(
    context: Context, command: MultiSearch, key: SearchKey, named: Named
) -> None:
    account, mailbox = named.owner or context.account, named.mailbox.id
    try:
        index = await context.index(account, mailbox)
    except MailboxNotFound:
        return  # it went meanwhile
    there = Selected(
        account,
        mailbox,
        named.name,
        index.uids,
        index.version,
        read_only=True,
        reader=None if named.owner is None else context.account,
        rights=named.rights,
    )
    other = replace(context, selected=there, contexts=None)
    scored = SearchReturn.RELEVANCY in (command.search.returns or _ALL)
    scores: Scores | None = {} if scored else None
    found = await find_here(other, key, scores)
    context.heard_s, context.limited = other.heard_s, other.limited
    await _tell(context, other, command, key, named, found, scores)


async def _tell(
    context: Context,
    there: Context,
    command: MultiSearch,
    key: SearchKey,
    named: Named,
    found: Sequence[int],
    scores: Scores | None,
) -> bytes:
    """RFC 7377 2.1: nothing is said of a mailbox in which nothing is found. Gives what names it."""
    search = command.search
    returns = search.returns or _ALL
    shown = render_mailbox(named.name, utf8=context.utf8)
    correlators = b" MAILBOX %b UIDVALIDITY %d" % (shown, named.mailbox.uidvalidity)
    if found and returns - UNTOLD != {SearchReturn.SAVE}:
        uids = [there.mailbox.uids[at] for at in found]
        relevancy = None if scores is None else [scores[at] for at in found]
        told = render_esearch(
            context.tag, True, returns, uids, search.partial, correlators, relevancy
        )
        highest = await highest_of(there, key, to_save(returns, found, search.partial))
        context.out.add(told + modseq_told(b" MODSEQ %d", highest) + b"\r\n")
    return correlators
