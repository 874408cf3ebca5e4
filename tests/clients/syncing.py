"""Clients that keep a copy: offlineimap3 and fetchmail. (mbsync has a file of its own.)"""

from collections.abc import Sequence

from tests.clients.maildir import Maildir
from tests.clients.stage import PASSWORD
from tests.clients.visit import Place, Step, Visit, expect, holds, ran, unique
from tests.clients.witness import Letter, letter

OFFLINEIMAP_RC = """
[general]
accounts = a
ui = basic
metadata = {home}/metadata

[Account a]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = {home}/mail

[Repository far]
type = IMAP
remotehost = localhost
remoteport = {port}
remoteuser = {user}
remotepass = {password}
ssl = yes
sslcacertfile = {authority}
"""

FETCHMAIL_RC = """
poll localhost service {port} protocol IMAP
user "{user}" password "{password}" ssl sslproto "TLS1.2+" sslcertck sslcertfile "{authority}"
mda "{mda}" {kept}
"""
# fetchmail ends so when there was nothing to fetch.
NO_MAIL = 1


def filled(place: Place, template: str, **more: str) -> str:
    """A configuration for this place."""
    return template.format(
        home=place.home,
        port=place.port("imaps"),
        user=place.user,
        password=PASSWORD,
        authority=place.stage.authority,
        **more,
    )


class Offlineimap(Visit):
    """offlineimap3, with a maildir of the whole account."""

    name = "offlineimap3"
    program = "offlineimap"
    install = "apt install offlineimap3"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.rc = place.home / "rc"
        self.rc.write_text(filled(place, OFFLINEIMAP_RC))
        self.inbox = Maildir(place.home / "mail" / "INBOX")
        self.subjects = [f"letter-{number}" for number in range(5)]

    def steps(self) -> Sequence[Step]:
        return (self.down, self.up, self.both_ways, self.again)

    def sync(self) -> str:
        """One run."""
        return ran(["offlineimap", "-o", "-c", self.rc], env={"HOME": str(self.place.home)})

    def down(self) -> None:
        """All that is there, to the octet."""
        for subject in self.subjects:
            self.place.deliver(subject)
        self.sync()
        found = self.inbox.messages()
        expect(sorted(found), self.subjects, "the maildir")
        holds((self.inbox.path.parent / "Archive").is_dir(), "other mailboxes have no maildir")

    def up(self) -> None:
        """A star and a new message made here."""
        self.inbox.mark(self.inbox.messages()["letter-1"], "F")
        self.inbox.put(letter("made-here", "From the disk.", self.place.user), "S")
        self.sync()
        there = self.place.jmap()
        expect(there["letter-1"].keywords, frozenset({"$flagged"}), "the star there")
        wanted = Letter(frozenset({"$seen"}), "From the disk.")
        expect(there.get("made-here"), wanted, "the new message there")

    def both_ways(self) -> None:
        """One is thrown away here, one there, and one marked there."""
        with self.place.witness() as witness:
            ids = witness.ids("INBOX")
            update = {ids["letter-3"]: {"keywords/$answered": True}}
            witness.call("Email/set", update=update, destroy=[ids["letter-4"]])
        self.inbox.messages()["letter-0"].path.unlink()
        self.sync()
        here, there = self.inbox.messages(), self.place.jmap()
        left = ["letter-1", "letter-2", "letter-3", "made-here"]
        expect(sorted(self.place.imap()), left, "what is there")
        expect(
            {subject: filed.keywords for subject, filed in here.items()},
            {subject: one.keywords for subject, one in there.items()},
            "flags here",
        )

    def again(self) -> None:
        """Nothing has changed, and nothing is changed."""
        with self.place.witness() as witness:
            before = witness.state()
            said = self.sync()
            expect(witness.state(), before, "the state")
        moved = [line for line in said.splitlines() if "opy" in line or "elet" in line]
        expect(moved, [], "what it did")


class Fetchmail(Visit):
    """fetchmail, which hands on what it finds."""

    name = "fetchmail"
    program = "fetchmail"
    install = "apt install fetchmail"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.box = place.home / "box"
        self.texts = [unique("word") for _ in range(4)]

    def steps(self) -> Sequence[Step]:
        return (self.fetch, self.again, self.take_away)

    def poll(self, kept: str, *good: int) -> bytes:
        """One run; what it handed on."""
        self.box.unlink(missing_ok=True)
        self.box.touch()
        rc = self.place.home / "rc"
        rc.write_text(filled(self.place, FETCHMAIL_RC, mda=f"cat >> {self.box}", kept=kept))
        rc.chmod(0o600)
        home = str(self.place.home)
        words = ["fetchmail", "-v", "-f", str(rc), "--nosyslog", "--pidfile", f"{home}/pid"]
        ran(words, env={"HOME": home, "FETCHMAILHOME": home}, good=good)
        return self.box.read_bytes()

    def fetch(self) -> None:
        """What is new, which is seen from then on."""
        for number, text in enumerate(self.texts[:3]):
            self.place.deliver(f"letter-{number}", text)
        got = self.poll("keep", 0)
        expect([got.count(text.encode()) for text in self.texts], [1, 1, 1, 0], "what came")
        seen = [one.keywords for one in self.place.jmap().values()]
        expect(seen, [frozenset({"$seen"})] * 3, "flags there")

    def again(self) -> None:
        """Nothing is new; then one is."""
        expect(self.poll("keep", NO_MAIL), b"", "what came")
        self.place.deliver("letter-3", self.texts[3])
        got = self.poll("keep", 0)
        expect([got.count(text.encode()) for text in self.texts], [0, 0, 0, 1], "what came")

    def take_away(self) -> None:
        """All of it, and nothing is left."""
        got = self.poll("fetchall nokeep", 0)
        expect([got.count(text.encode()) for text in self.texts], [1, 1, 1, 1], "what came")
        expect(self.place.jmap(), {}, "what is left")
