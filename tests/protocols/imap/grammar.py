"""What a server may say: the formal syntax of RFC 9051 section 9, and of each extension we offer.

Every octet that a test's client hears goes through `Heard`, so each dialogue and each session of
the tests is held against the grammar, whatever else it is about. It is stricter than a client
need be: an unknown response, an unknown response code, two spaces where one belongs, a NIL where a
string must stand, a character outside ASCII before it was enabled are all faults.

Responses are put together again here, literals included; what they tell is in grammar_data.py and
grammar_fetch.py.
"""

import re
from collections.abc import Callable
from typing import Final

from tests.protocols.imap import grammar_fetch
from tests.protocols.imap.grammar_data import DATA, atoms, atoms_after, capability
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
    b" NOTIFICATIONOVERFLOW UIDREQUIRED TOOFEW TOOMANY".split()
)


class Heard:
    """What one client has heard; `feed` raises AssertionError at the first octet out of place."""

    def __init__(self) -> None:
        self.count = 0
        self._held = bytearray()
        self._utf8 = False

    def feed(self, octets: bytes | bytearray) -> None:
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
        enabled = atoms(words)
        return bool(enabled & {b"IMAP4REV2", b"UTF8=ACCEPT"})
    assert verb in DATA, words.fault("an unknown response")
    DATA[verb](words)
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
        capability(words)
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
    atoms_after(words)


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
