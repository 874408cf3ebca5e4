"""What Thunderbird says, played to each node from the dialogue that the tests play to a door.

Thunderbird itself needs a screen. A step is a part of the file, from one remark to the next.
"""

import base64
import re
import socket
from collections.abc import Iterator, Sequence

from tests.clients.packages import Packages
from tests.clients.stage import PASSWORD
from tests.clients.visit import Failed, Place, Step, Visit, expect
from tests.clients.witness import hand_in
from tests.protocols.imap.stage import as_rev2, mail
from tests.protocols.imap.test_dialogues import DIALOGUES, matches

FILE = DIALOGUES / "clients_thunderbird.txt"
REPLY_S = 30.0
# The line with which the dialogue's user logs in.
_LOGIN = re.compile(r"[A-Za-z0-9+/]{20,}=*")


def parts() -> Iterator[tuple[str, list[str]]]:
    """The remarks of the file, each with what is said until the next."""
    title, lines = "an account is opened", list[str]()
    remark = False
    for line in FILE.read_text().splitlines():
        if line.startswith("#"):
            if lines and not remark:
                yield title, lines
                title, lines = re.split("[,:.]", line[2:])[0], []
            remark = True
        elif line:
            lines.append(line)
            remark = False
    yield title, lines


class Thunderbird(Visit):
    """Its commands over TLS, word for word."""

    name = "thunderbird"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        plain = socket.create_connection(("localhost", place.port("imaps")), REPLY_S)
        trust = place.stage.trust()
        self.socket = trust.wrap_socket(plain, server_hostname="localhost")
        self.file = self.socket.makefile("rwb")

    @classmethod
    def missing(cls, packages: Packages) -> str:
        return ""

    def steps(self) -> Sequence[Step]:
        return (*(self.part(title, lines) for title, lines in parts()), self.all_is_there)

    def close(self) -> None:
        self.socket.close()

    def part(self, title: str, lines: list[str]) -> Step:
        """The step that plays a part of the file."""

        def play() -> None:
            self.play(lines)

        play.__name__ = title
        return play

    def play(self, lines: list[str]) -> None:
        """Say what the client says; what the server must say may be in any order after `S*`."""
        loose: list[str] = []
        for line in lines:
            if line.startswith("! deliver "):
                octets = mail(line.removeprefix("! deliver "))
                hand_in(self.place.stage, self.place.elsewhere, self.place.user, octets)
            elif line.startswith("C:"):
                self.file.write(self.own(line[3:]).encode() + b"\r\n")
                self.file.flush()
            elif line.startswith("S*"):
                loose.append(line[3:])
            else:
                while loose:
                    loose.remove(self.hear(loose))
                self.hear([line[3:]])

    def own(self, line: str) -> str:
        """What the client says, with the name and the password that are right here."""
        if not _LOGIN.fullmatch(line):
            return line
        return base64.b64encode(f"\0{self.place.user}\0{PASSWORD}".encode()).decode()

    def hear(self, patterns: list[str]) -> str:
        """Which of these the next line of the server is."""
        told = None
        while told is None:  # the dialogue is of both revisions
            told = as_rev2(self.file.readline().removesuffix(b"\r\n"))
        said = told.decode()
        for pattern in patterns:
            if matches(pattern, said):
                return pattern
        raise Failed(f"none of {patterns} was said, but {said!r}")

    def all_is_there(self) -> None:
        """What its commands left behind."""
        expect(list(self.place.jmap()), ["three"], "inbox")
        expect(self.place.jmap()["three"].keywords, frozenset({"$seen"}), "its flags")
        expect(list(self.place.jmap("Trash")), ["one"], "bin")
        expect(list(self.place.jmap("Sent")), ["sent"], "what was sent")
        expect(list(self.place.jmap("Büro")), ["three"], "the folder of one's own")
