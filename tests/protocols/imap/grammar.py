"""What a server may say: the formal syntax of RFC 9051 section 9, and of each extension we offer.

Every octet that a test's client hears goes through `Heard`, so each dialogue and each session of
the tests is held against the grammar, whatever else it is about. It is stricter than a client
need be: an unknown response, an unknown response code, two spaces where one belongs, a NIL where a
string must stand, a character outside ASCII before it was enabled are all faults.

Responses are put together again here, literals included; the data of FETCH are in grammar_fetch.py.
"""

import re
from collections.abc import Callable
from typing import Final

from tests.protocols.imap import grammar_fetch
from tests.protocols.imap.grammar_words import Words

_LITERAL_END: Final = re.compile(rb"\{(\d+)\}\r\n\Z")
_TAG: Final = re.compile(rb"[^(){ \x00-\x1f\x7f-\xff%*\"\\+]+")
_BASE64: Final = re.compile(
    rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?(?=\r\n)"
)

# RFC 9051 7.1, RFC 5530, and the extensions' codes that stand alone.
_BARE_CODES: Final = frozenset(
    b"ALERT PARSE READ-ONLY READ-WRITE TRYCREATE UIDNOTSTICKY UNAVAILABLE AUTHENTICATIONFAILED"
    b" AUTHORIZATIONFAILED EXPIRED PRIVACYREQUIRED CONTACTADMIN NOPERM INUSE EXPUNGEISSUED"
    b" CORRUPTION SERVERBUG CLIENTBUG CANNOT LIMIT OVERQUOTA ALREADYEXISTS NONEXISTENT NOTSAVED"
    b" HASCHILDREN CLOSED UNKNOWN-CTE NOMODSEQ USEATTR TOOBIG COMPRESSIONACTIVE"
    b" NOTIFICATIONOVERFLOW UIDREQUIRED".split()
)
_SELECTABLE: Final = frozenset((b"\\NONEXISTENT", b"\\NOSELECT", b"\\MARKED", b"\\UNMARKED"))
_OTHER_LIST_FLAGS: Final = frozenset(
    b"\\NOINFERIORS \\HASCHILDREN \\HASNOCHILDREN \\SUBSCRIBED \\REMOTE \\ALL \\ARCHIVE \\DRAFTS"
    b" \\FLAGGED \\JUNK \\SENT \\TRASH \\IMPORTANT \\NOACCESS".split()
)
_RIGHTS: Final = re.compile(rb"[a-z0-9]*")


class Heard:
    """What one client has heard; `feed` raises AssertionError at the first octet out of place."""

    def __init__(self) -> None:
        self.count = 0
        self._held = bytearray()
        self._utf8 = False

    def feed(self, octets: bytes) -> None:
        """Octets as they come, cut anywhere."""
        self._held += octets
        while (end := self._end()) is not None:
            response = bytes(self._held[:end])
            del self._held[:end]
            self._utf8 = _judge(response, utf8=self._utf8) or self._utf8
            self.count += 1

    @property
    def is_whole(self) -> bool:
        """Whether no response is only begun."""
        return not self._held

    def _end(self) -> int | None:
        """Where the first whole response ends, its literals stepped over."""
        at = 0
        while (found := self._held.find(b"\r\n", at)) >= 0:
            literal = _LITERAL_END.search(self._held, at, found + 2)
            if literal is None:
                return found + 2
            at = found + 2 + int(literal[1])
        return None


def _judge(response: bytes, *, utf8: bool) -> bool:
    """Raise AssertionError for a response that the grammar lacks; True: it has enabled UTF-8."""
    words = Words(response, utf8=utf8)
    enables = False
    if words.skip(b"+ "):
        if words.match(_BASE64) is None:
            _resp_text(words)
    elif words.skip(b"* "):
        enables = _untagged(words)
    else:
        words.need(_TAG, "a tag")
        words.space()
        _status(words, words.word(), (b"OK", b"NO", b"BAD"))
    words.end()
    return enables


def _untagged(words: Words) -> bool:
    if words.peek_digit():
        number = words.number()
        words.space()
        _numbered(words, number)
        return False
    verb = words.word()
    if verb in (b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"):
        _status(words, verb, (verb,))
        return False
    if verb == b"ENABLED":
        enabled = _atoms(words)
        return bool(enabled & {b"IMAP4REV2", b"UTF8=ACCEPT"})
    assert verb in _DATA, words.fault("an unknown response")
    _DATA[verb](words)
    return False


def _numbered(words: Words, number: int) -> None:
    """message-data, EXISTS, RECENT."""
    verb = words.word()
    if verb in (b"EXISTS", b"RECENT"):
        return
    assert number > 0, words.fault("message numbers begin at 1")
    if verb == b"EXPUNGE":
        return
    assert verb in (b"FETCH", b"UIDFETCH"), words.fault("an unknown response")
    words.space()
    grammar_fetch.msg_att(words)


# ----------------------------------------------------------------------- status and their codes


def _status(words: Words, verb: bytes, allowed: tuple[bytes, ...]) -> None:
    assert verb in allowed, words.fault(f"none of {allowed}")
    words.space()
    _resp_text(words)


def _resp_text(words: Words) -> None:
    """RFC 9051 resp-text; of rev1 is the MUST that some text stands there."""
    if words.skip(b"["):
        _code(words)
        words.expect(b"]")
        words.space()
    words.text()


def _code(words: Words) -> None:
    name = words.word()
    if name in _BARE_CODES:
        return
    if name == b"CAPABILITY":
        _capability(words)
        return
    if name in (b"BADCHARSET", b"INPROGRESS") and not words.at(b" "):
        return
    words.space()
    assert name in _CODES, words.fault("an unknown response code")
    _CODES[name](words)


def _permanent_flags(words: Words) -> None:
    words.listed(lambda: words.skip(b"\\*") or words.flag(), least=0)


def _append_uid(words: Words) -> None:
    words.number(least=1)
    words.space()
    words.uid_set()


def _copy_uid(words: Words) -> None:
    _append_uid(words)
    words.space()
    words.uid_set()


def _metadata_code(words: Words) -> None:
    """RFC 5464 4.2.1, 4.3."""
    match words.word():
        case b"LONGENTRIES" | b"MAXSIZE":
            words.space()
            words.number()
        case other:
            assert other in (b"TOOMANY", b"NOPRIVATE"), words.fault("no METADATA code")


def _in_progress(words: Words) -> None:
    """RFC 9585 4: ("tag" progress goal), each of them NIL where it is not known."""
    words.expect(b"(")
    words.nil() or words.quoted()
    words.space()
    words.nil() or words.number()
    words.space()
    words.nil() or words.number(least=1)
    words.expect(b")")


def _message_limit(words: Words) -> None:
    """RFC 9738 3: the limit, and the lowest UID that was not processed."""
    words.number(least=1)
    if words.skip(b" "):
        words.number(least=1)


def _url_mechanisms(words: Words) -> None:
    """RFC 4467 4: URLMECH INTERNAL *(SP mechanism ["=" base64])."""
    _atoms_after(words)


_CODES: Final[dict[bytes, Callable[[Words], object]]] = {
    b"BADCHARSET": lambda words: words.listed(words.astring),
    b"PERMANENTFLAGS": _permanent_flags,
    b"UIDNEXT": lambda words: words.number(least=1),
    b"UIDVALIDITY": lambda words: words.number(least=1),
    b"UNSEEN": lambda words: words.number(least=1),
    b"HIGHESTMODSEQ": lambda words: words.number64(least=1),
    b"MODIFIED": lambda words: words.uid_set(),
    b"APPENDUID": _append_uid,
    b"COPYUID": _copy_uid,
    b"MAILBOXID": lambda words: words.object_id(),
    b"METADATA": _metadata_code,
    b"INPROGRESS": _in_progress,
    b"BADEVENT": lambda words: words.listed(words.atom),
    b"BADURL": lambda words: words.until(b"]"),
    b"NOUPDATE": lambda words: words.quoted(),
    b"UNDEFINED-FILTER": lambda words: words.atom(),
    b"URLMECH": _url_mechanisms,
    b"MESSAGELIMIT": _message_limit,
}


# ------------------------------------------------------------------------------- data responses


def _atoms(words: Words) -> set[bytes]:
    """*(SP atom): each once."""
    found: list[bytes] = []
    while words.skip(b" "):
        found.append(words.atom().upper())
    assert len(found) == len(set(found)), words.fault("the same word twice")
    return set(found)


def _atoms_after(words: Words) -> None:
    words.atom()
    _atoms(words)


def _capability(words: Words) -> None:
    offered = _atoms(words)
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
    b"UIDBATCHES": lambda words: words.uid_set(),
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
                words.nil() or grammar_fetch.body(words, extensible=True)
            else:
                assert item in (b"BODY", b"BINARY"), words.fault("an unknown item")
                words.nil() or words.string8()
            words.expect(b")")


def _jmap_access(words: Words) -> None:
    words.space()
    words.quoted()


_DATA: Final[dict[bytes, Callable[[Words], object]]] = {
    b"CAPABILITY": _capability,
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
