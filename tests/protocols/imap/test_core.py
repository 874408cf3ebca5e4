"""The connection as bytes: gathering commands, literals, limits, phases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import LimitExceeded, LocalProtocolError, RemoteProtocolError
from protocols.imap import commands as c
from protocols.imap.connection_commands import Compress, Unauthenticate
from protocols.imap.core import (
    APPEND_BYTES_MAX,
    COMMAND_BYTES_MAX,
    ERRORS_MAX,
    LINE_BYTES_MAX,
    LITERALS_MAX,
    STRANGER_BYTES_MAX,
    WELCOME,
    Core,
    LiteralRoom,
    Phase,
    Request,
)
from protocols.imap.ops import OPS
from protocols.imap.parse import _RULES

MIB = 1024 * 1024


class Wire:
    """A core and the peer's end of its wire."""

    def __init__(
        self, *, room: int = 256 * MIB, known: bool = True, append_bytes_max: int = APPEND_BYTES_MAX
    ) -> None:
        self.room = LiteralRoom(room)
        self.core = Core(self.room, append_bytes_max)
        if known:
            self.core.authenticated()

    def send(self, octets: bytes) -> list[Request]:
        """All requests that come of these octets."""
        found: list[Request] = []
        while octets:
            wanted = self.core.wanted
            self.core.receive(octets[:wanted])
            octets = octets[wanted:]
            while (request := self.core.next_request()) is not None:
                found.append(request)
        return found

    def said(self) -> bytes:
        return self.core.take_output()


def test_pipelined_commands_come_one_by_one_in_their_order() -> None:
    wire = Wire()
    requests = wire.send(b"a NOOP\r\nb NAMESPACE\nc CAPABILITY\r\n")
    assert [request.tag for request in requests] == [b"a", b"b", b"c"]
    assert wire.said() == b""


def test_a_later_command_sees_the_phase_its_forerunner_left() -> None:
    wire = Wire(known=False)
    wire.core.receive(b"a LOGIN x y\r\nb NAMESPACE\r\n")
    assert wire.core.next_request() == Request(b"a", c.Login("x", "y"))
    wire.core.authenticated()
    assert wire.core.next_request() == Request(b"b", c.Namespace())


def test_a_synchronising_literal_waits_for_a_continuation() -> None:
    wire = Wire()
    assert wire.send(b"a STATUS {5}\r\n") == []
    assert wire.said() == b"+ Ready\r\n"
    assert wire.send(b"IN") == []
    assert wire.send(b"BOX (UNSEEN)\r\n")[0].command == c.Status("INBOX", (c.StatusItem.UNSEEN,))


def test_a_non_synchronising_literal_waits_for_nothing() -> None:
    wire = Wire()
    (request,) = wire.send(b"a RENAME {1+}\r\nx {3+}\r\ny/z\r\n")
    assert wire.said() == b""
    assert request.command == c.Rename("x", "y/z")


@given(st.lists(st.integers(1, 9), max_size=30))
def test_however_the_octets_come_the_commands_are_the_same(cuts: list[int]) -> None:
    octets = b"a APPEND x (\\Seen) {7+}\r\n\r\nb {3}\r\nb SELECT {3}\r\nabc\r\nc NOOP\r\n"
    whole = Wire().send(octets)
    wire, found = Wire(), []
    for cut in cuts:
        found += wire.send(octets[:cut])
        octets = octets[cut:]
    assert found + wire.send(octets) == whole
    assert [request.tag for request in whole] == [b"a", b"b", b"c"]


def test_a_line_of_a_megabyte_ends_the_connection() -> None:
    wire = Wire()
    with pytest.raises(LimitExceeded):
        wire.send(b"a LOGIN " + b"x" * MIB)
    wire = Wire()
    wire.send(b"a NOOP " + b"x" * (LINE_BYTES_MAX - 7) + b"\r\n")
    assert wire.said() == b"a BAD too many arguments\r\n"


def test_a_stranger_has_less_room() -> None:
    wire = Wire(known=False)
    with pytest.raises(LimitExceeded):
        wire.send(b"a LOGIN " + b"x" * STRANGER_BYTES_MAX + b"\r\n")
    wire = Wire(known=False)
    wire.send(b"a LOGIN {%d}\r\n" % STRANGER_BYTES_MAX)
    assert wire.said() == b"a BAD [TOOBIG] The command is too large\r\n"


def test_a_literal_too_large_is_refused_unread() -> None:
    wire = Wire()
    wire.send(b"a APPEND x {10000000000}\r\n")
    assert wire.said() == b"a NO [TOOBIG] The message is too large\r\n"
    wire.send(b"b APPEND x {%d}\r\n" % APPEND_BYTES_MAX)
    assert wire.said() == b"+ Ready\r\n"
    wire = Wire()
    large = b"UID REPLACE 1 x {%d}\r\n" % APPEND_BYTES_MAX
    wire.send(b"a " + large)
    assert wire.said() == b"a BAD [TOOBIG] The command is too large\r\n"
    wire.core.selected()
    wire.send(b"b " + large)
    assert wire.said() == b"+ Ready\r\n"
    wire = Wire()
    wire.send(b"a SELECT {%d}\r\n" % COMMAND_BYTES_MAX)
    assert wire.said() == b"a BAD [TOOBIG] The command is too large\r\n"


def test_how_large_a_message_may_be_is_the_operators_to_say() -> None:
    wire = Wire(append_bytes_max=1000)
    wire.send(b"a APPEND x {1001}\r\n")
    assert wire.said() == b"a NO [TOOBIG] The message is too large\r\n"
    wire.send(b"b APPEND x {1000}\r\n")
    assert wire.said() == b"+ Ready\r\n"


def test_a_literal_too_large_that_comes_anyhow_ends_the_connection() -> None:
    wire = Wire()
    with pytest.raises(LimitExceeded):
        wire.send(b"a APPEND x {10000000000+}\r\n")
    assert wire.said() == b"a NO [TOOBIG] The message is too large\r\n"


@pytest.mark.parametrize("count", [b"9" * 20, b"9" * 21, b"0" * 21, b"1" * 5000])
def test_a_count_of_any_length_announces_a_literal_and_not_the_next_command(count: bytes) -> None:
    wire = Wire()
    with pytest.raises(LimitExceeded):
        wire.send(b"a APPEND INBOX {" + count + b"+}\r\nb NOOP\r\n")
    assert wire.said().startswith(b"a NO [TOOBIG] ")
    wire = Wire()
    [request] = wire.send(b"a APPEND INBOX {" + count + b"}\r\nb NOOP\r\n")
    assert request.tag == b"b" and wire.said().startswith(b"a NO [TOOBIG] ")


def test_many_literals_are_one_command_too_large() -> None:
    wire = Wire()
    with pytest.raises(LimitExceeded):
        wire.send(b"a SEARCH" + b" SUBJECT {0+}\r\n" * (LITERALS_MAX + 1))


def test_what_many_literals_hold_is_bounded_for_the_door() -> None:
    wire = Wire(room=1000)
    other = Core(wire.room)
    other.authenticated()
    wire.send(b"a APPEND x {900}\r\n")
    assert wire.said() == b"+ Ready\r\n"
    other.receive(b"b APPEND x {200}\r\n")
    assert other.next_request() is None
    assert other.take_output().startswith(b"b NO [UNAVAILABLE]")
    wire.core.release()  # the first connection has gone
    assert wire.room.free == 1000


def test_a_request_takes_along_what_it_holds() -> None:
    wire = Wire(room=1000)
    [request] = wire.send(b"a APPEND x {9+}\r\n123456789\r\nb APPEND x {20}\r\n")
    assert request.held == 9 and wire.room.free == 971
    wire.core.release()  # of what is still coming in
    assert wire.room.free == 991


def test_room_comes_back_when_the_command_is_bad() -> None:
    wire = Wire(room=1000)
    wire.send(b"a APPEND x {9+}\r\n123456789 junk\r\n")
    assert wire.said().startswith(b"a BAD")
    assert wire.room.free == 1000


def test_too_many_errors_in_a_row_end_the_connection() -> None:
    wire = Wire()
    wire.send(b"a FROB\r\n" * ERRORS_MAX)
    wire.send(b"b NOOP\r\n")
    wire.send(b"a FROB\r\n" * ERRORS_MAX)
    with pytest.raises(RemoteProtocolError, match="too many errors"):
        wire.send(b"a FROB\r\n")


def test_the_table_of_phases_decides() -> None:
    wire = Wire(known=False)
    wire.send(b"a SELECT INBOX\r\n")
    assert wire.said() == b"a BAD Not in this state\r\n"
    wire.core.authenticated()
    assert wire.send(b"a SELECT INBOX\r\n")
    assert wire.send(b"a EXPUNGE\r\n") == []
    wire.core.selected()
    assert wire.send(b"a EXPUNGE\r\n")
    wire.core.unselected()
    with pytest.raises(LocalProtocolError):
        wire.core.authenticated()
    wire.core.logged_out()
    assert wire.send(b"a NOOP\r\n") == []


def test_every_command_has_a_place_in_the_table_and_someone_to_do_it() -> None:
    listed = frozenset[type]().union(*WELCOME.values())
    of_the_stream = {c.StartTls, c.Authenticate, c.Idle, Compress, Unauthenticate}
    assert listed == {*OPS, *of_the_stream}
    assert len(_RULES) >= len(listed) - 3  # some verbs share a command


def test_what_came_before_tls_is_forgotten() -> None:
    wire = Wire(known=False)
    wire.core.receive(b"a STARTTLS\r\nb LOGIN evil x\r\n")
    assert wire.core.next_request() == Request(b"a", c.StartTls())
    wire.core.tls_started()
    assert wire.core.next_request() is None


def test_after_logout_the_core_is_in_no_mood() -> None:
    assert WELCOME[Phase.LOGOUT] == frozenset()
