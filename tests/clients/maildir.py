"""A maildir as a client keeps it: read and changed as another program would, without the client."""

import hashlib
import itertools
import re
from dataclasses import dataclass
from pathlib import Path

# Letters after `:2,` in a file's name, and the keywords that they stand for. T is for the bin.
LETTERS = {"D": "$draft", "F": "$flagged", "R": "$answered", "S": "$seen"}
_SUBJECT = re.compile(rb"^Subject: (.*?)\r?$", re.MULTILINE | re.IGNORECASE)
# What mbsync writes into a message while it is under way, and offlineimap for good.
_OWN = re.compile(rb"^X-(?:TUID|OfflineIMAP): .*\r?\n", re.MULTILINE)


@dataclass(frozen=True)
class Filed:
    """A message in a maildir."""

    path: Path
    keywords: frozenset[str]
    digest: str
    """Of its octets with the line ends of the wire."""


class Maildir:
    """One folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._numbers = itertools.count()

    def make(self) -> "Maildir":
        """An empty one."""
        for part in ("cur", "new", "tmp"):
            (self.path / part).mkdir(parents=True)
        return self

    def put(self, octets: bytes, letters: str = "") -> None:
        """A message, with LF for line ends as on a disk."""
        part = "cur" if letters else "new"
        name = f"1764331200.{next(self._numbers)}_{id(self)}.here:2,{letters}"
        (self.path / part / name).write_bytes(octets.replace(b"\r\n", b"\n"))

    def mark(self, filed: Filed, letter: str) -> None:
        """One more letter in its name."""
        name, _, letters = filed.path.name.partition(":2,")
        marked = "".join(sorted({*letters, letter}))
        filed.path.rename(self.path / "cur" / f"{name}:2,{marked}")

    def messages(self) -> dict[str, Filed]:
        """All of them by subject."""
        found = {}
        for part in ("cur", "new"):
            for path in (self.path / part).iterdir():
                octets = path.read_bytes()
                subject = _SUBJECT.search(octets)
                assert subject is not None, path
                letters = path.name.partition(":2,")[2]
                keywords = frozenset(LETTERS.get(letter, letter) for letter in letters)
                found[subject[1].decode()] = Filed(path, keywords, digest(octets))
        return found


def digest(octets: bytes) -> str:
    """What a message is told by, wherever it lies."""
    plain = _OWN.sub(b"", octets).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return hashlib.sha256(plain).hexdigest()
