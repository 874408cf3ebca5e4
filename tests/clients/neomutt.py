"""neomutt, on a terminal of its own, with the keys pressed that a person would press."""

import os
import pty
import threading
from collections.abc import Sequence
from pathlib import Path

from tests.clients.stage import BOB, PASSWORD
from tests.clients.visit import Place, Step, Visit, expect, holds, ran, unique
from tests.clients.witness import Letter

RC = """
set folder = "imaps://localhost:{port}/"
set spool_file = "+INBOX"
set postponed = "+Drafts"
set record = "+Sent"
set imap_user = "{user}"
set imap_pass = "{password}"
set from = "{user}"
set ssl_ca_certificates_file = "{authority}"
set ssl_verify_host = yes
set certificate_file = "{home}/certificates"
set header_cache = "{home}/cache"
set message_cachedir = "{home}/cache"
set imap_condstore = yes
set imap_qresync = yes
set imap_keepalive = 60
set sendmail = "true"
set editor = "cp {home}/body"
set quit = yes
set delete = yes
set move = no
set mark_old = no
set confirm_append = no
set wait_key = no
set pipe_decode = no
set pipe_split = yes
set edit_headers = no
set autoedit = yes
set postpone = yes
set recall = no
set fast_reply = yes
set crypt_use_gpgme = no
set sleep_time = 0
set new_mail_command = ""
"""


class Neomutt(Visit):
    """A day with neomutt, with QRESYNC and a cache."""

    name = "neomutt"
    program = "neomutt"
    install = "apt install neomutt"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.rc = place.home / "rc"
        self.rc.write_text(
            RC.format(
                port=place.port("imaps"),
                user=place.user,
                password=PASSWORD,
                authority=place.stage.authority,
                home=place.home,
            )
        )
        (place.home / "cache").mkdir()
        self.subject, self.text = unique("letter"), unique("word")

    def steps(self) -> Sequence[Step]:
        return (
            *(self.read, self.flag, self.move, self.draft),
            *(self.sent, self.search, self.resync),
        )

    def press(self, keys: str) -> None:
        """Start it, press these keys, and leave it."""
        words: list[str | Path] = ["neomutt", "-n", "-F", self.rc, "-e", f'push "{keys}<quit>"']
        on_terminal(words, self.place.home)

    def piped(self, keys: str) -> str:
        """What the messages chosen by these keys are, piped out whole."""
        out = self.place.home / "piped"
        out.unlink(missing_ok=True)
        out.touch()
        self.press(f"{keys}<pipe-message>cat >> {out}<enter>")
        return out.read_text()

    def read(self) -> None:
        """A message that came in elsewhere."""
        self.place.deliver(self.subject, self.text)
        told = self.piped(f"<search>~s {self.subject}<enter>")
        holds(f"Subject: {self.subject}" in told and self.text in told, f"read: {told!r}")

    def flag(self) -> None:
        """A star."""
        self.press(f"<search>~s {self.subject}<enter><flag-message><sync-mailbox>")
        holds("$flagged" in self.place.jmap()[self.subject].keywords, "no star")

    def move(self) -> None:
        """Into the archive."""
        keys = "<save-message>+Archive<enter><sync-mailbox>"
        self.press(f"<search>~s {self.subject}<enter>{keys}")
        expect(self.place.jmap(), {}, "inbox")
        expect(list(self.place.jmap("Archive")), [self.subject], "archive")

    def draft(self) -> None:
        """A message is begun and put off."""
        (self.place.home / "body").write_text(f"{self.text}\n")
        self.press(f"<mail>{BOB}<enter>draft<enter><postpone-message>")
        letter = self.place.jmap("Drafts")["draft"]
        expect(letter.text, self.text, "draft")
        holds("$draft" in letter.keywords, f"flags of the draft: {letter.keywords}")

    def sent(self) -> None:
        """What goes out is filed among what was sent."""
        self.press(f"<mail>{BOB}<enter>sent<enter><send-message>")
        wanted = {"sent": Letter(frozenset({"$seen"}), self.text)}
        expect(self.place.jmap("Sent"), wanted, "what was sent")

    def search(self) -> None:
        """Those with a word in them, found by the server."""
        word = unique("needle")
        for number, text in enumerate((f"one {word} here", "none", f"two: {word}.")):
            self.place.deliver(f"hay-{number}", text)
        told = self.piped(f"<tag-pattern>=b {word}<enter><tag-prefix>")
        found = [subject for subject in ("hay-0", "hay-1", "hay-2") if subject in told]
        expect(found, ["hay-0", "hay-2"], "found")

    def resync(self) -> None:
        """After its cache is filled one comes, one goes and one is marked elsewhere."""
        self.press("")
        with self.place.witness() as witness:
            ids = witness.ids("INBOX")
            update = {ids["hay-2"]: {"keywords/$answered": True}}
            witness.call("Email/set", update=update, destroy=[ids["hay-0"]])
        self.place.deliver("hay-3")
        told = self.piped("<tag-pattern>~A<enter><tag-prefix>")
        expect(subjects(told), ["hay-1", "hay-2", "hay-3"], "inbox")
        told = self.piped("<tag-pattern>~Q<enter><tag-prefix>")
        expect(subjects(told), ["hay-2"], "answered")


def subjects(octets: str) -> list[str]:
    """Of piped messages."""
    lines = octets.splitlines()
    return [line.removeprefix("Subject: ") for line in lines if line.startswith("Subject: ")]


def on_terminal(words: Sequence[str | Path], home: Path) -> None:
    """Run a program that wants a terminal, and read what it paints."""
    ours, theirs = pty.openpty()

    def read() -> None:
        try:
            while os.read(ours, 65536):
                pass
        except OSError:
            pass  # Nobody has the other end open any more.

    reader = threading.Thread(target=read)
    reader.start()
    try:
        ran(words, env={"HOME": str(home), "TERM": "xterm"}, terminal=theirs)
    finally:
        os.close(theirs)
        reader.join()
        os.close(ours)
