"""Command lines of LMTP to typed commands: RFC 5321 4.1 grammar with RFC 2033's LHLO.

One pass over a line already bounded; every pattern is a run of one character class, so matching is
linear. What is wrong raises `Refused` with the reply that says so, nothing else is raised.

More is accepted than the grammar gives where refusing would bounce mail that the MTA before us
has accepted: dots anywhere in a local part, underscores in domains, local parts over 64 octets,
spaces after the colon. Parameters of DSN (RFC 3461) are read and checked but DSN is not offered:
reports stay the MTA's.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

from protocols.errors import RemoteProtocolError
from protocols.lmtp import replies
from protocols.lmtp.replies import Reply

# RFC 5321 4.5.3.1.1 asks for 64 at least; VERP and SRS make longer ones.
LOCAL_PART_BYTES_MAX: Final = 256
DOMAIN_BYTES_MAX: Final = 255  # RFC 5321 4.5.3.1.2
SIZE_DIGITS_MAX: Final = 20  # RFC 1870 5
CHUNK_DIGITS_MAX: Final = 20  # as many, though RFC 3030 2 gives no bound
ENVID_CHARS_MAX: Final = 100  # RFC 3461 4.4
ORCPT_CHARS_MAX: Final = 500  # RFC 3461 4.2
# Paths as they were written lately, and what was read in them: an MTA brings mail for the same
# people, and of the same.
PATHS_REMEMBERED_MAX: Final = 1_024


class Refused(RemoteProtocolError):
    """The command cannot be taken; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.lines[0])
        self.reply = reply


class Body(Enum):
    """RFC 6152 2, RFC 3030 3: what the message's octets may be."""

    SEVEN_BIT = "7BIT"
    EIGHT_BIT_MIME = "8BITMIME"
    BINARY_MIME = "BINARYMIME"


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox. `local` is without quotes: all quoted forms are equal (RFC 5321 4.1.2)."""

    local: str
    domain: str

    def __str__(self) -> str:
        """The form to look up: nothing quoted; the last "@" is the divider."""
        return f"{self.local}@{self.domain}" if self.domain else self.local

    def render(self) -> str:
        """The form to write in a path: with as little quoting as possible."""
        local = self.local
        if not _DOT_STRING.fullmatch(local):
            local = '"' + re.sub(r'(["\\])', r"\\\1", local) + '"'
        return f"{local}@{self.domain}" if self.domain else local

    @property
    def ascii(self) -> bool:
        """It can be said without SMTPUTF8."""
        return self.local.isascii() and self.domain.isascii()


@dataclass(frozen=True, slots=True)
class Lhlo:
    """RFC 2033 4.1. `domain` is who the client says it is."""

    domain: str


@dataclass(frozen=True, slots=True)
class Mail:
    """RFC 5321 4.1.1.2. `sender` None is the null reverse-path; `size` what SIZE announces."""

    sender: Address | None
    size: int | None = None
    body: Body = Body.SEVEN_BIT
    smtputf8: bool = False


@dataclass(frozen=True, slots=True)
class Rcpt:
    """RFC 5321 4.1.1.3. An empty domain is the bare Postmaster."""

    recipient: Address


@dataclass(frozen=True, slots=True)
class Data:
    """RFC 5321 4.1.1.4."""


@dataclass(frozen=True, slots=True)
class Bdat:
    """RFC 3030 2: `octets` follow at once."""

    octets: int
    last: bool


@dataclass(frozen=True, slots=True)
class Rset:
    """RFC 5321 4.1.1.5."""


@dataclass(frozen=True, slots=True)
class Noop:
    """RFC 5321 4.1.1.9."""


@dataclass(frozen=True, slots=True)
class Vrfy:
    """RFC 5321 4.1.1.6. `name` is an address, with or without < and >, or whatever was asked."""

    name: str


@dataclass(frozen=True, slots=True)
class Expn:
    """RFC 5321 4.1.1.7. `name` as for VRFY."""

    name: str


@dataclass(frozen=True, slots=True)
class Auth:
    """RFC 4954 4. `initial` is the initial response in base64, None when there is none."""

    mechanism: str
    initial: bytes | None


@dataclass(frozen=True, slots=True)
class Help:
    """RFC 5321 4.1.1.8."""


@dataclass(frozen=True, slots=True)
class Quit:
    """RFC 5321 4.1.1.10."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """RFC 3207 4."""


Command = (
    Lhlo | Mail | Rcpt | Data | Bdat | Rset | Noop | Vrfy | Expn | Help | Quit | StartTls | Auth
)

# RFC 5321 4.1.2 atext, and RFC 6531 3.3 UTF8-non-ascii without the C1 controls.
_ATEXT: Final = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u00a0-\U0010ffff"
_DOT_STRING: Final = re.compile(rf"[{_ATEXT}]+(?:\.[{_ATEXT}]+)*")
_UNQUOTED: Final = re.compile(rf"[{_ATEXT}.]+")
_QUOTED: Final = re.compile(r'"((?:[ !#-\[\]-~\u00a0-\U0010ffff]|\\[ -~])*)"')
_DOMAIN: Final = re.compile(
    r"[A-Za-z0-9_\-\u00a0-\U0010ffff]+(?:\.[A-Za-z0-9_\-\u00a0-\U0010ffff]+)*\.?"
)
_LITERAL: Final = re.compile(r"\[[!-Z^-~]+\]")  # RFC 5321 4.1.3, dcontent
_ROUTE: Final = re.compile(r"@[^:<>\"\s]*:")  # RFC 5321 4.1.2 A-d-l, ignored
_PARAMETER: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~\u00a0-\U0010ffff]+))?")
_XTEXT: Final = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")  # RFC 3461 4
_MECHANISM: Final = re.compile(r"[A-Za-z0-9_-]{1,20}")  # RFC 4422 3.1
_DIGITS: Final = re.compile(r"[0-9]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def parse_command(line: bytes) -> Command:
    """The command on a line without its ending. Raises Refused."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise Refused(replies.syntax_error("5.5.2", "not UTF-8")) from None
    if _CONTROL.search(text):
        raise Refused(replies.syntax_error("5.5.2", "control characters"))
    verb, _, argument = text.partition(" ")
    parse = _COMMANDS.get(verb.upper()) if verb.isascii() else None
    if parse is None:
        raise Refused(replies.UNKNOWN_COMMAND)
    return parse(argument.strip(" "))


def _lhlo(argument: str) -> Lhlo:
    """RFC 2033 4.1: LHLO takes a domain or address literal, as EHLO."""
    if not (_DOMAIN.fullmatch(argument) or _LITERAL.fullmatch(argument)):
        raise Refused(replies.syntax_error("5.5.4", "LHLO needs a domain"))
    if len(argument.encode()) > DOMAIN_BYTES_MAX:
        raise Refused(replies.syntax_error("5.5.4", "domain too long"))
    return Lhlo(argument)


def _mail(argument: str) -> Mail:
    """RFC 5321 4.1.1.2: "MAIL FROM:" Reverse-path [SP Mail-parameters]."""
    sender, rest = _path(_after("FROM:", argument), "5.1.7")
    given = _parameters(rest, _MAIL_PARAMETERS)
    size, body = given.get("SIZE"), given.get("BODY")
    mail = Mail(
        sender,
        size=None if size is None else int(size),
        body=Body.SEVEN_BIT if body is None else Body(body.upper()),
        smtputf8="SMTPUTF8" in given,
    )
    if sender is not None and not sender.ascii and not mail.smtputf8:
        raise Refused(replies.NEEDS_SMTPUTF8)
    return mail


def _rcpt(argument: str) -> Rcpt:
    """RFC 5321 4.1.1.3: "RCPT TO:" Forward-path [SP Rcpt-parameters]."""
    recipient, rest = _path(_after("TO:", argument), "5.1.3")
    if recipient is None:
        raise Refused(replies.syntax_error("5.1.3", "a recipient has a name"))
    _parameters(rest, _RCPT_PARAMETERS)
    return Rcpt(recipient)


def _bdat(argument: str) -> Bdat:
    """RFC 3030 2: bdat-cmd = "BDAT" SP chunk-size [ SP "LAST" ]."""
    size, _, end = argument.partition(" ")
    if not _DIGITS.fullmatch(size) or len(size) > CHUNK_DIGITS_MAX:
        raise Refused(replies.syntax_error("5.5.4", "BDAT needs a size"))
    if end.strip().upper() not in ("", "LAST"):
        raise Refused(replies.syntax_error("5.5.4", "only LAST may follow the size"))
    return Bdat(int(size), last=bool(end))


def _auth(argument: str) -> Auth:
    """RFC 4954 4: "AUTH" SP mechanism [SP initial-response]."""
    mechanism, _, initial = argument.partition(" ")
    if not _MECHANISM.fullmatch(mechanism) or not initial.isascii():
        raise Refused(replies.syntax_error("5.5.4", "AUTH needs a mechanism"))
    return Auth(mechanism.upper(), initial.strip(" ").encode() or None)


def _asked_name(argument: str) -> str:
    """RFC 5321 3.5.1: a name or an address; RFC 6531 3.7.4: it may be UTF-8 by SMTPUTF8."""
    name = argument.removesuffix(" SMTPUTF8").strip(" ")
    name = name[1:-1] if name.startswith("<") and name.endswith(">") else name
    if not name:
        raise Refused(replies.syntax_error("5.5.4", "whom?"))
    return name


def _bare(command: Command) -> Callable[[str], Command]:
    """A command without arguments (RFC 5321 4.3.2: 501 when there are some)."""

    def parse(argument: str) -> Command:
        if argument:
            raise Refused(replies.syntax_error("5.5.4", "no argument is allowed"))
        return command

    return parse


def _foreign(reply: Reply) -> Callable[[str], Command]:
    """A command of SMTP that this door does not have."""

    def parse(argument: str) -> Command:
        raise Refused(reply)

    return parse


_COMMANDS: Final[Mapping[str, Callable[[str], Command]]] = {
    "LHLO": _lhlo,
    "MAIL": _mail,
    "RCPT": _rcpt,
    "DATA": _bare(Data()),
    "BDAT": _bdat,
    "RSET": _bare(Rset()),
    "NOOP": lambda argument: Noop(),
    "VRFY": lambda argument: Vrfy(_asked_name(argument)),
    "EXPN": lambda argument: Expn(_asked_name(argument)),
    "HELP": lambda argument: Help(),
    "QUIT": _bare(Quit()),
    "AUTH": _auth,
    "STARTTLS": _bare(StartTls()),
    # RFC 2033 4.1: a server must not answer HELO or EHLO with success.
    "HELO": _foreign(replies.USE_LHLO),
    "EHLO": _foreign(replies.USE_LHLO),
}


def _after(prefix: str, argument: str) -> str:
    if argument[: len(prefix)].upper() != prefix:
        raise Refused(replies.syntax_error("5.5.4", f"expected {prefix}<address>"))
    return argument[len(prefix) :].lstrip(" ")


def _path(text: str, status: str) -> tuple[Address | None, str]:
    """RFC 5321 4.1.2 Path or "<>", and what follows it."""
    if '"' in text:
        return _read_path(text, status)  # nothing but a quoted string may hold a space
    path, _, _ = text.partition(" ")
    address, left = _remembered_path(path, status)
    return address, left + text[len(path) :]


@lru_cache(PATHS_REMEMBERED_MAX)
def _remembered_path(path: str, status: str) -> tuple[Address | None, str]:
    return _read_path(path, status)


def _read_path(text: str, status: str) -> tuple[Address | None, str]:

    def refuse(why: str) -> Refused:
        return Refused(replies.syntax_error(status, why))

    if not text.startswith("<"):
        raise refuse("an address goes between < and >")
    if text.startswith("<>"):
        return None, text[2:]
    route = _ROUTE.match(text, 1)
    local, at = _local_part(text, 1 if route is None else route.end(), refuse)
    if text.startswith(">", at) and local.casefold() == "postmaster":
        return Address(local, ""), text[at + 1 :]
    if not text.startswith("@", at):
        raise refuse("an address has an @")
    domain = _DOMAIN.match(text, at + 1) or _LITERAL.match(text, at + 1)
    if domain is None or not text.startswith(">", domain.end()):
        raise refuse("the domain is malformed")
    if len(local.encode()) > LOCAL_PART_BYTES_MAX or len(domain[0].encode()) > DOMAIN_BYTES_MAX:
        raise refuse("the address is too long")
    return Address(local, domain[0].removesuffix(".")), text[domain.end() + 1 :]


def _local_part(text: str, at: int, refuse: Callable[[str], Refused]) -> tuple[str, int]:
    """RFC 5321 4.1.2 Local-part: its text without quotes, and where it ends."""
    quoted = _QUOTED.match(text, at)
    if quoted is not None:
        return re.sub(r"\\(.)", r"\1", quoted[1]), quoted.end()
    unquoted = _UNQUOTED.match(text, at)
    if unquoted is None:
        raise refuse("the local part is malformed")
    return unquoted[0], unquoted.end()


def _size(value: str) -> bool:
    return bool(_DIGITS.fullmatch(value)) and len(value) <= SIZE_DIGITS_MAX


def _body(value: str) -> bool:
    return value.upper() in {body.value for body in Body}


def _ret(value: str) -> bool:
    return value.upper() in ("FULL", "HDRS")


def _xtext(value: str) -> bool:
    return len(value) <= ORCPT_CHARS_MAX and _XTEXT.fullmatch(value) is not None


def _envid(value: str) -> bool:
    return len(value) <= ENVID_CHARS_MAX and _XTEXT.fullmatch(value) is not None


def _notify(value: str) -> bool:
    """RFC 3461 4.1: NEVER alone, or a list of the others."""
    named = value.upper().split(",")
    return named == ["NEVER"] or set(named) <= {"SUCCESS", "FAILURE", "DELAY"}


def _orcpt(value: str) -> bool:
    """RFC 3461 4.2: type ";" xtext; RFC 6533 3: utf-8-addr-xtext may be UTF-8."""
    kind, semicolon, address = value.partition(";")
    if not kind or not semicolon or len(value) > ORCPT_CHARS_MAX:
        return False
    return kind.lower() == "utf-8" or _XTEXT.fullmatch(address) is not None


# Keyword -> is this its value; None for a keyword that takes no value.
_MAIL_PARAMETERS: Final[Mapping[str, Callable[[str], bool] | None]] = {
    "SIZE": _size,  # RFC 1870 3
    "BODY": _body,  # RFC 6152 2, RFC 3030 3
    "SMTPUTF8": None,  # RFC 6531 3.4
    "RET": _ret,  # RFC 3461 4.3
    "ENVID": _envid,  # RFC 3461 4.4
    "AUTH": _xtext,  # RFC 4954 5
}
_RCPT_PARAMETERS: Final[Mapping[str, Callable[[str], bool] | None]] = {
    "NOTIFY": _notify,
    "ORCPT": _orcpt,
}


def _parameters(
    text: str, allowed: Mapping[str, Callable[[str], bool] | None]
) -> dict[str, str | None]:
    """RFC 5321 4.1.2 esmtp-params after a path, each keyword once."""
    given: dict[str, str | None] = {}
    if text and not text.startswith(" "):
        raise Refused(replies.syntax_error("5.5.4", "a space goes before parameters"))
    for word in text.strip(" ").split(" ") if text.strip(" ") else ():
        found = _PARAMETER.fullmatch(word)
        if found is None:
            raise Refused(replies.syntax_error("5.5.4", "malformed parameter"))
        keyword, value = found[1].upper(), found[2]
        if keyword not in allowed:
            raise Refused(replies.unknown_parameter(keyword))
        check = allowed[keyword]
        wrong = value is not None if check is None else value is None or not check(value)
        if wrong or keyword in given:
            raise Refused(replies.syntax_error("5.5.4", f"{keyword} is given wrong"))
        given[keyword] = value
    return given
