"""mbsync (isync): a maildir and a mailbox are made equal, both ways, and then left alone.

The same story twice: a small mailbox at each node, and a large one whose first transfer goes
through one node, its second through the next, and its changes through the third.
"""

import re
from collections.abc import Sequence
from typing import TypeVar

from tests.clients.maildir import Maildir, digest
from tests.clients.stage import NODES, PASSWORD, after
from tests.clients.visit import Place, Step, Visit, expect, holds, ran, unique
from tests.clients.witness import letter

RC = """
IMAPAccount a
Host localhost
Port {port}
User {user}
Pass {password}
SSLType IMAPS
CertificateFile {authority}
Timeout 120

IMAPStore far
Account a

MaildirStore near
Path {home}/{store}/
Inbox {home}/{store}/INBOX
SubFolders Verbatim

Channel c
Far :far:
Near :near:
Patterns {mailbox}
Create Both
Expunge Both
SyncState *
"""
SMALL = 60
# Each kind of change happens to one message of so many.
CHANGED_OF = 20
LARGE_S = 3600.0
TEXT_OCTETS = 1_000
# As many as one call changes.
PART = 100
# What `mbsync -Dn` shows of what it says, and which of that moves or changes messages.
_GIVEN = re.compile(r"^>>> (.*)$", re.MULTILINE)
_MOVING = re.compile(r"BODY|APPEND|STORE|EXPUNGE|COPY|MOVE")

T = TypeVar("T")


class Mbsync(Visit):
    """A small mailbox, all at one node."""

    name = "mbsync"
    program = "mbsync"
    install = "apt install isync"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.count = SMALL
        self.mailbox = "Small"
        self.wanted: dict[str, str] = {}

    def steps(self) -> Sequence[Step]:
        return (self.up, self.down, self.both_ways, self.again)

    def node(self, turn: int) -> str:
        """Through which node the sync of this turn goes."""
        return self.place.node

    def store(self, name: str) -> Maildir:
        """One of the copies on this side."""
        return Maildir(self.place.home / name / self.mailbox)

    def sync(self, store: str, node: str) -> list[str]:
        """One run; the commands it gave that move or change something."""
        rc = self.place.home / "rc"
        rc.write_text(
            RC.format(
                port=self.place.stage.port(node, "imaps"),
                user=self.place.user,
                password=PASSWORD,
                authority=self.place.stage.authority,
                home=self.place.home,
                store=store,
                mailbox=self.mailbox,
            )
        )
        said = ran(["mbsync", "-Dn", "-c", rc, "c"], timeout_s=LARGE_S)
        given = _GIVEN.findall(said)
        holds(given, f"no command was given: {said[-300:]}")
        return [command for command in given if _MOVING.search(command)]

    def letters(self, kind: str, count: int) -> dict[str, bytes]:
        """New messages by subject."""
        subjects = [f"{kind}-{number}" for number in range(count)]
        text = unique("word ") * (TEXT_OCTETS // 20)
        return {subject: letter(subject, text, self.place.user) for subject in subjects}

    def up(self) -> None:
        """A maildir goes to the server."""
        store = self.store("first").make()
        for subject, octets in self.letters("old", self.count).items():
            store.put(octets, "S")
            self.wanted[subject] = digest(octets)
        holds(self.sync("first", self.node(0)), "nothing was sent")
        self.equal("first", after(self.node(0)))

    def down(self) -> None:
        """And from there into a second one, to the octet."""
        (self.place.home / "second").mkdir()
        holds(self.sync("second", self.node(1)), "nothing was fetched")
        self.equal("second", after(self.node(1)))

    def both_ways(self) -> None:
        """Here and there some are marked, some thrown away, and some come new."""
        changed = self.count // CHANGED_OF
        self.change_here(changed)
        self.change_there(changed)
        self.sync("first", self.node(2))
        self.equal("first", after(self.node(2)))
        self.sync("second", self.node(2))
        self.equal("second", after(self.node(2)))

    def change_here(self, changed: int) -> None:
        """In the first maildir."""
        store = self.store("first")
        filed = store.messages()
        for number in range(changed):
            store.mark(filed[f"old-{number}"], "F")
            store.mark(filed[f"old-{changed + number}"], "T")
            del self.wanted[f"old-{changed + number}"]
        for subject, octets in self.letters("here", changed).items():
            store.put(octets, "S")
            self.wanted[subject] = digest(octets)

    def change_there(self, changed: int) -> None:
        """On the server, by JMAP, which imports what is new."""
        new = self.letters("there", changed)
        self.wanted |= {subject: digest(octets) for subject, octets in new.items()}
        with self.place.witness(after(self.node(2))) as witness:
            ids = witness.ids(self.mailbox)
            there = {witness.mailboxes()[self.mailbox]: True}
            update = {
                ids[f"old-{2 * changed + number}"]: {"keywords/$answered": True}
                for number in range(changed)
            }
            destroy = [ids[f"old-{3 * changed + number}"] for number in range(changed)]
            for number in range(changed):
                del self.wanted[f"old-{3 * changed + number}"]
            for at in range(0, changed, PART):
                marks = dict(list(update.items())[at : at + PART])
                witness.call("Email/set", update=marks, destroy=destroy[at : at + PART])
            emails = {
                str(at): {"blobId": witness.upload(octets), "mailboxIds": there}
                for at, octets in enumerate(new.values())
            }
            for at in range(0, changed, PART):
                part = dict(list(emails.items())[at : at + PART])
                witness.call("Email/import", emails=part)

    def again(self) -> None:
        """Nothing is different any more: no run moves anything, at any node."""
        for node in NODES:
            for store in ("first", "second"):
                expect(self.sync(store, node), [], f"what another run did at {node}")

    def equal(self, store: str, node: str) -> None:
        """The maildir has what it should, to the octet, and the server the same with its flags."""
        filed = self.store(store).messages()
        same({subject: one.digest for subject, one in filed.items()}, self.wanted, store)
        with self.place.witness(node) as witness:
            letters = witness.letters(self.mailbox, texts=False)
        there = {subject: one.keywords for subject, one in letters.items()}
        same(there, {subject: one.keywords for subject, one in filed.items()}, f"flags at {node}")


class MbsyncLarge(Mbsync):
    """A large mailbox, through one node after the other."""

    name = "mbsync-large"
    nodes = NODES[:1]

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.count = place.messages
        self.mailbox = "Large"

    def node(self, turn: int) -> str:
        return after(self.place.node, turn)


def same(found: dict[str, T], wanted: dict[str, T], what: str) -> None:
    """Raise Failed, naming a few, when two mailboxes differ."""
    every = found.keys() | wanted.keys()
    differing = sorted(one for one in every if found.get(one) != wanted.get(one))
    shown = [(one, found.get(one), wanted.get(one)) for one in differing[:3]]
    expect((len(differing), shown), (0, []), f"{what}: what differs")
