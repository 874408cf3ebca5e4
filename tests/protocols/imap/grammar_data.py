"""Data responses, but for FETCH: RFC 9051 section 9 mailbox-data, and those of the extensions."""

import re
from collections.abc import Callable
from typing import Final

from tests.protocols.imap import grammar_fetch
from tests.protocols.imap.grammar_words import Words

_SELECTABLE: Final = frozenset((b"\\NONEXISTENT", b"\\NOSELECT", b"\\MARKED", b"\\UNMARKED"))
_OTHER_LIST_FLAGS: Final = frozenset(
    b"\\NOINFERIORS \\HASCHILDREN \\HASNOCHILDREN \\SUBSCRIBED \\REMOTE \\ALL \\ARCHIVE \\DRAFTS"
    b" \\FLAGGED \\JUNK \\SENT \\TRASH \\IMPORTANT \\NOACCESS".split()
)
_RIGHTS: Final = re.compile(rb"[a-z0-9]*")


def atoms(words: Words) -> set[bytes]:
    """*(SP atom): each once."""
    found: list[bytes] = []
    while words.skip(b" "):
        found.append(words.atom().upper())
    assert len(found) == len(set(found)), words.fault("the same word twice")
    return set(found)


def atoms_after(words: Words) -> None:
    """atom *(SP atom)."""
    words.atom()
    atoms(words)


def capability(words: Words) -> None:
    """capability-data: both revisions are offered."""
    offered = atoms(words)
    assert offered >= {b"IMAP4REV1", b"IMAP4REV2"}, words.fault("a revision is missing")


def _id(words: Words) -> None:
    """RFC 2971 3.2."""
    words.space()
    if not words.nil():
        words.listed(lambda: (words.string(), words.space(), words.nstring()))


def _list(words: Words) -> None:
    """mailbox-list; of the attributes at most one tells whether it can be selected."""
    words.space()
    attributes: list[bytes] = []
    words.listed(lambda: attributes.append(words.list_flag()), least=0)
    assert len(attributes) == len(set(attributes)), words.fault("an attribute twice")
    assert len(_SELECTABLE.intersection(attributes)) <= 1, words.fault("two of mbx-list-sflag")
    assert {b"\\HASCHILDREN", b"\\HASNOCHILDREN"} - set(attributes), words.fault("has and has not")
    unknown = set(attributes) - _SELECTABLE - _OTHER_LIST_FLAGS
    assert not unknown, words.fault(f"attributes that nobody has defined: {unknown}")
    words.space()
    assert words.nil() or len(words.quoted()) == 1, words.fault("no delimiter")
    words.space()
    words.mailbox()
    if words.skip(b" "):
        words.listed(lambda: _list_item(words))


def _list_item(words: Words) -> None:
    """CHILDINFO and OLDNAME, the extended data that we have."""
    match words.astring():
        case b"CHILDINFO":
            words.space()
            words.listed(words.quoted)
        case other:
            assert other == b"OLDNAME", words.fault("unknown extended data")
            words.space()
            words.listed(words.mailbox)


def _status_data(words: Words) -> None:
    words.space()
    words.mailbox()
    words.space()
    told: list[bytes] = []
    words.listed(lambda: told.append(_status_item(words)), least=0)
    assert len(told) == len(set(told)), words.fault("an item twice")


def _status_item(words: Words) -> bytes:
    item = words.word()
    words.space()
    match item:
        case b"MESSAGES" | b"UNSEEN" | b"DELETED" | b"RECENT":
            words.number()
        case b"UIDNEXT" | b"UIDVALIDITY":
            words.number(least=1)
        case b"SIZE" | b"DELETED-STORAGE" | b"HIGHESTMODSEQ":
            words.number64()
        case b"APPENDLIMIT":
            words.nil() or words.number()
        case b"MAILBOXID":
            words.object_id()
        case _:
            raise AssertionError(words.fault("an unknown status item"))
    return item


def _namespace(words: Words) -> None:
    for _ in range(3):
        words.space()
        if words.nil():
            continue
        words.expect(b"(")
        while not words.skip(b")"):
            words.expect(b"(")
            words.string()
            words.space()
            assert words.nil() or len(words.quoted()) == 1, words.fault("no delimiter")
            words.expect(b")")


def _numbers(words: Words) -> None:
    """SEARCH of RFC 9051 (obsolete-search-response), SORT of RFC 5256, with RFC 7162's MODSEQ."""
    while words.skip(b" "):
        if words.skip(b"(MODSEQ "):
            words.number64(least=1)
            words.expect(b")")
            return
        words.number(least=1)


def _thread(words: Words) -> None:
    """RFC 5256 5: threads without spaces between them."""
    if words.skip(b" "):
        _thread_list(words)
        while words.at(b"("):
            _thread_list(words)


def _thread_list(words: Words) -> None:
    words.expect(b"(")
    while words.peek_digit():
        words.number(least=1)
        if words.skip(b")"):
            return
        words.space()
    nested = 0
    while words.at(b"("):
        _thread_list(words)
        nested += 1
    assert nested >= 2, words.fault("thread-nested has two branches or more")
    words.expect(b")")


def _esearch(words: Words) -> None:
    if words.skip(b" (TAG "):
        words.astring()
        if words.skip(b" MAILBOX "):  # RFC 7377 2.1
            words.mailbox()
            words.expect(b" UIDVALIDITY ")
            words.number(least=1)
        words.expect(b")")
    words.skip(b" UID")
    told: list[bytes] = []
    while words.skip(b" "):
        told.append(name := words.word())
        words.space()
        assert name in _RESULTS, words.fault("an unknown result")
        _RESULTS[name](words)
    once = [name for name in told if name not in (b"ADDTO", b"REMOVEFROM")]
    assert len(once) == len(set(once)), words.fault("a result twice")


def _uid_batches(words: Words) -> None:
    """RFC 10022: (TAG "tag") and ranges of UIDs, each from the higher to the lower."""
    words.expect(b" (TAG ")
    words.astring()
    words.expect(b")")
    while words.skip(b" ") or words.skip(b","):
        high = words.number(least=1)
        words.expect(b":")
        assert high >= words.number(least=1), words.fault("a range upwards")


def _partial(words: Words) -> None:
    """RFC 9394 3.1: (range results/NIL)."""
    words.expect(b"(")
    words.need(re.compile(rb"-?[1-9]\d*:-?[1-9]\d*"), "partial-range")
    words.space()
    words.nil() or words.uid_set()
    words.expect(b")")


def _positions(words: Words) -> None:
    """RFC 5267 4.3: (position set [position set ...])."""
    words.listed(lambda: (words.number(), words.space(), words.uid_set()))


def _relevancy(words: Words) -> None:
    """RFC 6203 6: score-list."""
    words.listed(lambda: words.number(least=1), least=0)


_RESULTS: Final[dict[bytes, Callable[[Words], object]]] = {
    b"MIN": lambda words: words.number(least=1),
    b"MAX": lambda words: words.number(least=1),
    b"ALL": lambda words: words.uid_set(),
    b"COUNT": lambda words: words.number(),
    b"MODSEQ": lambda words: words.number64(least=1),
    b"PARTIAL": _partial,
    b"ADDTO": _positions,
    b"REMOVEFROM": _positions,
    b"RELEVANCY": _relevancy,
}


def _vanished(words: Words) -> None:
    words.skip(b" (EARLIER)")
    words.space()
    words.uid_set()


def _quota(words: Words) -> None:
    """RFC 9208 4.2.1: root and (resource usage limit ...)."""
    words.space()
    words.astring()
    words.space()
    words.listed(
        lambda: (words.atom(), words.space(), words.number64(), words.space(), words.number64()),
        least=0,
    )


def _quota_root(words: Words) -> None:
    words.space()
    words.mailbox()
    while words.skip(b" "):
        words.astring()


def _acl(words: Words) -> None:
    """RFC 4314 3.6."""
    words.space()
    words.mailbox()
    while words.skip(b" "):
        words.astring()
        words.space()
        _rights(words)


def _rights(words: Words) -> None:
    rights = words.astring()
    assert _RIGHTS.fullmatch(rights), words.fault("no rights")
    assert len(rights) == len(set(rights)), words.fault("a right twice")


def _list_rights(words: Words) -> None:
    words.space()
    words.mailbox()
    words.space()
    words.astring()
    words.space()
    _rights(words)
    while words.skip(b" "):
        _rights(words)


def _my_rights(words: Words) -> None:
    words.space()
    words.mailbox()
    words.space()
    _rights(words)


def _metadata(words: Words) -> None:
    """RFC 5464 4.4: entries with values, or entries alone."""
    words.space()
    words.mailbox()
    words.space()
    if words.at(b"("):
        words.listed(lambda: (words.entry(), words.space(), words.nil() or words.string8()))
        return
    words.entry()
    while words.skip(b" "):
        words.entry()


def _flags(words: Words) -> None:
    words.space()
    words.listed(words.flag, least=0)


def _gen_url_auth(words: Words) -> None:
    """RFC 4467 9."""
    words.space()
    words.astring()
    while words.skip(b" "):
        words.astring()


def _url_fetch(words: Words) -> None:
    """RFC 4467 9, RFC 5524 4: a URL, and its content or items in parentheses."""
    while words.skip(b" "):
        words.astring()
        words.space()
        if words.nil():
            continue
        if not words.at(b"("):
            words.nstring()
            continue
        while words.skip(b"(") or words.skip(b" ("):
            item = words.word()
            words.space()
            if item == b"BODYPARTSTRUCTURE":
                if not words.nil():
                    grammar_fetch.body(words, extensible=True)
            else:
                assert item in (b"BODY", b"BINARY"), words.fault("an unknown item")
                words.nil() or words.string8()
            words.expect(b")")


def _jmap_access(words: Words) -> None:
    words.space()
    words.quoted()


DATA: Final[dict[bytes, Callable[[Words], object]]] = {
    b"CAPABILITY": capability,
    b"ID": _id,
    b"LIST": _list,
    b"LSUB": _list,
    b"STATUS": _status_data,
    b"FLAGS": _flags,
    b"NAMESPACE": _namespace,
    b"SEARCH": _numbers,
    b"SORT": _numbers,
    b"THREAD": _thread,
    b"ESEARCH": _esearch,
    b"UIDBATCHES": _uid_batches,
    b"VANISHED": _vanished,
    b"QUOTA": _quota,
    b"QUOTAROOT": _quota_root,
    b"ACL": _acl,
    b"LISTRIGHTS": _list_rights,
    b"MYRIGHTS": _my_rights,
    b"METADATA": _metadata,
    b"JMAPACCESS": _jmap_access,
    b"GENURLAUTH": _gen_url_auth,
    b"URLFETCH": _url_fetch,
}
