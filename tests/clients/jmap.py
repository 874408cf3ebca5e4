"""Libraries of JMAP: jmapc from PyPI, jmap-client-ts and jmap-jam from npm.

jmap-client-ts has no push, and jmap-jam's needs a browser's EventSource: both use
`eventsource` from npm.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.clients.packages import SCRIPTS, Packages
from tests.clients.stage import BOB, BOBS_PASSWORD, PASSWORD, after
from tests.clients.talking import ScriptVisit, Talker
from tests.clients.tokens import access_token
from tests.clients.visit import Failed, Place, Step, expect, holds, unique
from tests.clients.witness import Letter, by_imap, deliver

USUAL = {"Inbox", "Archive", "Drafts", "Junk", "Sent", "Trash"}
# Events that may come before the one that is waited for: a change may be told in parts.
EVENTS_MAX = 20
RESTARTED_S = 60.0
# A name with what URLs and headers must quote; the type of such a file is not known to anybody.
FILE_NAME = "Käse & Brot, 100%.ungewöhnlich"
FILE_LINES = 200


class JmapVisit(ScriptVisit):
    """A day with a library of JMAP."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.id = self.draft_id = self.heard_id = ""

    def start(self) -> Talker:
        """The script that uses this library."""
        packages = self.place.packages
        words: list[str | Path] = ["node", packages.npm / f"{self.name.replace('-', '_')}.mjs"]
        trust = {"NODE_EXTRA_CA_CERTS": str(self.place.stage.authority)}
        return Talker(words, trust, self.place.home)

    @classmethod
    def missing(cls, packages: Packages) -> str:
        return packages.missing_npm()

    def steps(self) -> Sequence[Step]:
        return (
            *(self.connect, self.list, self.read, self.flag, self.move),
            *(self.draft, self.send, self.search, self.push),
        )

    def connect(self, node: str = "") -> None:
        """The session resource is found and understood."""
        port = self.place.stage.port(node or self.place.node, "https")
        user = self.place.user
        told = self.talker.ask("open", host=f"localhost:{port}", user=user, password=PASSWORD)
        expect(told, user, "whose session it is")

    def list(self) -> None:
        """The usual mailboxes are there."""
        expect(set(self.talker.ask("mailboxes")), USUAL, "mailboxes")

    def read(self) -> None:
        """A message that came in elsewhere, subject and text."""
        self.id = self.read_newest()["id"]

    def flag(self) -> None:
        """A star."""
        self.talker.ask("flag", id=self.id)
        expect(self.place.imap()[self.subject].keywords, frozenset({"$flagged"}), "flags")

    def move(self) -> None:
        """Into the archive, its star and all."""
        self.talker.ask("move", id=self.id, to="Archive")
        expect(self.place.imap(), {}, "inbox")
        wanted = {self.subject: Letter(frozenset({"$flagged"}), self.text)}
        expect(self.place.imap("Archive"), wanted, "archive")

    def draft(self) -> None:
        """A message to Bob is begun."""
        words = {"subject": f"draft-{self.subject}", "text": self.text}
        self.draft_id = self.talker.ask("draft", sender=self.place.user, to=BOB, **words)
        letter = self.place.imap("Drafts")[f"draft-{self.subject}"]
        expect(letter, Letter(frozenset({"$draft", "$seen"}), self.text), "draft")

    def send(self) -> None:
        """The draft is sent: it is Bob's, and ours among what was sent."""
        self.talker.ask("send", id=self.draft_id)
        subject = f"draft-{self.subject}"
        bobs = by_imap(self.place.stage, self.place.elsewhere, BOB, "INBOX", BOBS_PASSWORD)
        expect(bobs.get(subject), Letter(frozenset(), self.text), "what Bob has")
        expect(self.place.imap("Drafts"), {}, "drafts")
        expect(self.place.imap("Sent")[subject].keywords, frozenset({"$seen"}), "what was sent")

    def search(self) -> None:
        """Those with a word in them, and no others."""
        word = unique("needle")
        for number, text in enumerate((f"one {word} here", "none", f"two: {word}.")):
            self.place.deliver(f"hay-{number}", text)
        expect(sorted(self.talker.ask("search", text=word)), ["hay-0", "hay-2"], "found")

    def push(self) -> None:
        """Mail comes in elsewhere and is heard of."""
        self.talker.ask("listen")
        self.place.deliver(unique("news"))
        self.hear(self.place.elsewhere)

    def hear(self, node: str) -> None:
        """Until the state told is the one that this node has."""
        with self.place.witness(node) as witness:
            wanted, told = witness.state(), ""
        for _ in range(EVENTS_MAX):
            event: dict[str, Any] = self.talker.ask("hear")
            told, self.heard_id = event["email"] or told, event["id"]
            if told == wanted:
                return
        raise Failed(f"the last of {EVENTS_MAX} events told state {told}, not {wanted}")


class WithFiles(JmapVisit):
    """A library that carries files, too."""

    def steps(self) -> Sequence[Step]:
        return (*super().steps(), self.attach)

    def attach(self) -> None:
        """A file goes up and into a draft, and comes down again as it was."""
        file = self.place.home / FILE_NAME
        file.write_text(f"{self.text}\n" * FILE_LINES)
        back = self.place.home / "back"
        self.talker.ask(
            "attach",
            mailbox="Drafts",
            subject="with-a-file",
            file=str(file),
            name=FILE_NAME,
            back=str(back),
        )
        expect(back.read_bytes() == file.read_bytes(), True, "the file is the same")
        wanted = ((FILE_NAME, file.read_text()),)
        expect(self.place.imap("Drafts")["with-a-file"].files, wanted, "what is attached")


class JmapClientTs(JmapVisit):
    """jmap-client-ts, of Linagora's webmail."""

    name = "jmap-client-ts"


class JmapJam(WithFiles):
    """jmap-jam."""

    name = "jmap-jam"


class Jmapc(WithFiles):
    """jmapc, the library for Python."""

    name = "jmapc"

    def start(self) -> Talker:
        words = [self.place.packages.python, SCRIPTS / "jmapc_client.py"]
        trust = {"REQUESTS_CA_BUNDLE": str(self.place.stage.authority)}
        return Talker(words, trust, self.place.home)

    @classmethod
    def missing(cls, packages: Packages) -> str:
        return packages.missing_python()

    def steps(self) -> Sequence[Step]:
        return (*super().steps(), self.by_token, self.push_past_death)

    def by_token(self) -> None:
        """An access token instead of a password."""
        host, token = f"localhost:{self.place.port('https')}", access_token(self.place)
        told = self.talker.ask("open_by_token", host=host, token=token)
        expect(told, self.place.user, "whose session it is")

    def push_past_death(self) -> None:
        """The leader is killed, and mail comes in before anybody has grieved: it is heard of.

        Whoever listened at the leader comes back elsewhere, with the last event he knows.
        """
        cluster = self.place.stage.cluster
        leader = cluster.leader()
        holds(leader, f"no leader: {cluster.status()}")
        assert leader is not None
        cluster.kill(leader)
        try:
            alive = after(leader)
            deliver_when_led(self.place, alive)
            if leader == self.place.node:
                self.connect(alive)
                self.talker.ask("listen", last=self.heard_id)
            self.hear(alive)
        finally:
            cluster.start(leader)
            cluster.wait_ready(leader)


def deliver_when_led(place: Place, node: str) -> None:
    """Mail comes in as soon as there is a new leader: a sender tries again, as an MTA does."""
    subject, deadline = unique("news"), time.monotonic() + RESTARTED_S
    while True:
        try:
            deliver(place.stage, node, place.user, subject, "Hello.")
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
