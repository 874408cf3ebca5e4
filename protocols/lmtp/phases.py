"""Which command may come when in LMTP: one table, and what it does not list is 503."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from protocols.lmtp.commands import (
    Auth,
    Bdat,
    Command,
    Data,
    Expn,
    Help,
    Lhlo,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
)


class Phase(Enum):
    """Where the conversation stands."""

    GREETED = auto()  # no LHLO yet
    READY = auto()  # no transaction
    PROVING = auto()  # AUTH begun: lines are its responses, not commands
    SENDER = auto()  # MAIL accepted
    RECIPIENTS = auto()  # and a RCPT
    CHUNKS = auto()  # and a BDAT, not the last
    CONTENT = auto()  # octets of DATA or BDAT, not commands
    CLOSED = auto()


_ANYWHERE: Final[frozenset[type[Command]]] = frozenset({Rset, Noop, Vrfy, Expn, Help, Quit})
ALLOWED: Final[Mapping[Phase, frozenset[type[Command]]]] = {
    Phase.GREETED: _ANYWHERE | {Lhlo, StartTls},
    Phase.READY: _ANYWHERE | {Lhlo, StartTls, Auth, Mail},  # RFC 5321 4.1.4
    Phase.PROVING: frozenset(),
    Phase.SENDER: _ANYWHERE | {Lhlo, Rcpt},  # RFC 4954 4: no AUTH in a transaction
    Phase.RECIPIENTS: _ANYWHERE | {Lhlo, Rcpt, Data, Bdat},
    Phase.CHUNKS: _ANYWHERE | {Lhlo, Bdat},  # RFC 3030 2: DATA does not follow BDAT
    Phase.CONTENT: frozenset(),
    Phase.CLOSED: frozenset(),
}
