"""Clients that read where the mail is: curl, imapclient from PyPI and imapflow from npm."""

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from tests.clients.packages import SCRIPTS, Packages
from tests.clients.stage import BOB, PASSWORD
from tests.clients.talking import ScriptVisit, Talker
from tests.clients.tokens import access_token
from tests.clients.visit import Failed, Place, Step, Visit, expect, holds, ran, unique
from tests.clients.witness import Letter, letter

USUAL = ["Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"]
# What IDLE may say before the news that is waited for.
NEWS_MAX = 20


class Curl(Visit):
    """curl, with a command for each step."""

    name = "curl"
    program = "curl"
    install = "apt install curl"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.subject, self.text, self.uid = unique("letter"), unique("word"), ""

    def steps(self) -> Sequence[Step]:
        steps = (self.list, self.read, self.flag, self.move, self.draft, self.search)
        return (*steps, self.by_token)

    def curl(self, path: str, *words: str) -> str:
        """What it printed; it checks the certificate, and fails when the server says NO."""
        who = f"{self.place.user}:{PASSWORD}"
        trust = str(self.place.stage.authority)
        url = f"imaps://localhost:{self.place.port('imaps')}/{path}"
        fixed = ("curl", "--silent", "--show-error", "--cacert", trust, "--user", who)
        return ran([*fixed, *words, url]).replace("\r\n", "\n")

    def list(self) -> None:
        """The usual mailboxes."""
        names = re.findall(r'^\* LIST \(.*?\) "/" "?([^"\n]+)"?$', self.curl(""), re.MULTILINE)
        expect(sorted(names), USUAL, "mailboxes")

    def read(self) -> None:
        """A message that came in elsewhere, found by its subject, to the octet."""
        self.place.deliver(self.subject, self.text)
        found = self.curl("INBOX", "-X", f'UID SEARCH SUBJECT "{self.subject}"')
        self.uid = found.removeprefix("* SEARCH ").strip()
        wanted = letter(self.subject, self.text, self.place.user).decode().replace("\r\n", "\n")
        holds(self.curl(f"INBOX;UID={self.uid}").endswith(wanted), "another message")
        part = self.curl(f"INBOX;UID={self.uid};SECTION=TEXT")
        expect(part.strip(), self.text, "its text")

    def flag(self) -> None:
        """A star."""
        self.curl("INBOX", "-X", f"UID STORE {self.uid} +FLAGS (\\Flagged)")
        keywords = self.place.jmap()[self.subject].keywords
        expect(keywords, frozenset({"$flagged", "$seen"}), "keywords")

    def move(self) -> None:
        """Into the archive."""
        self.curl("INBOX", "-X", f"UID MOVE {self.uid} Archive")
        expect(self.place.jmap(), {}, "inbox")
        expect(list(self.place.jmap("Archive")), [self.subject], "archive")

    def draft(self) -> None:
        """A file is appended."""
        file = self.place.home / "draft.eml"
        file.write_bytes(letter("draft", self.text, BOB))
        self.curl("Drafts", "--upload-file", str(file))
        expect(self.place.jmap("Drafts")["draft"].text, self.text, "draft")

    def search(self) -> None:
        """Those with a word in them, and no others, by the query of the URL."""
        word = unique("needle")
        for number, text in enumerate((f"one {word} here", "none", f"two: {word}.")):
            self.place.deliver(f"hay-{number}", text)
        found = self.curl(f"INBOX?{quote(f'BODY {word}')}")
        expect(found.strip(), "* SEARCH 1 3", "found")

    def by_token(self) -> None:
        """IMAP, where curl takes OAUTHBEARER whatever else is asked for, and JMAP's session."""
        trust, port = str(self.place.stage.authority), self.place.port
        fixed = ("curl", "--silent", "--show-error", "--fail", "--cacert", trust)
        bearer = ("--oauth2-bearer", access_token(self.place))
        words = ("--user", self.place.user, f"imaps://localhost:{port('imaps')}/")
        holds("INBOX" in ran([*fixed, *bearer, *words]), "no mailboxes")
        url = f"https://localhost:{port('https')}/.well-known/jmap"
        holds(self.place.user in ran([*fixed, *bearer, url]), "another session")


class LibraryVisit(ScriptVisit):
    """A day with a library of IMAP."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.uid = 0

    def steps(self) -> Sequence[Step]:
        return (
            *(self.connect, self.list, self.read, self.flag, self.move),
            *(self.draft, self.search, self.push),
        )

    def connect(self) -> None:
        """TLS and a password."""
        told = self.talker.ask(
            "open",
            host="localhost",
            port=self.place.port("imaps"),
            authority=str(self.place.stage.authority),
            user=self.place.user,
            password=PASSWORD,
        )
        holds({"IMAP4REV2", "IMAP4rev2"} & set(told), f"IMAP4rev2 is not offered: {told}")

    def list(self) -> None:
        """The usual mailboxes."""
        expect(sorted(self.talker.ask("mailboxes")), USUAL, "mailboxes")

    def read(self) -> None:
        """A message that came in elsewhere."""
        self.uid = self.read_newest()["uid"]

    def flag(self) -> None:
        """A star and a word of our own."""
        self.talker.ask("flag", uid=self.uid, flags=["\\Flagged", "$Work"])
        keywords = self.place.jmap()[self.subject].keywords
        expect(keywords, frozenset({"$flagged", "$work"}), "keywords")

    def move(self) -> None:
        """Into the archive, flags and all."""
        self.talker.ask("move", uid=self.uid, to="Archive")
        expect(self.place.jmap(), {}, "inbox")
        wanted = {self.subject: Letter(frozenset({"$flagged", "$work"}), self.text)}
        expect(self.place.jmap("Archive"), wanted, "archive")

    def draft(self) -> None:
        """A message is begun."""
        octets = letter("draft", self.text, BOB).decode()
        self.talker.ask("draft", message=octets)
        wanted = {"draft": Letter(frozenset({"$draft", "$seen"}), self.text)}
        expect(self.place.jmap("Drafts"), wanted, "drafts")

    def search(self) -> None:
        """Those with a word in them, and no others."""
        word = unique("needle")
        for number, text in enumerate((f"one {word} here", "none", f"two: {word}.")):
            self.place.deliver(f"hay-{number}", text)
        expect(sorted(self.talker.ask("search", text=word)), ["hay-0", "hay-2"], "found")

    def push(self) -> None:
        """Mail that comes in elsewhere is told in IDLE."""
        there = len(self.place.jmap())
        self.talker.ask("listen")
        self.place.deliver(unique("news"))
        for _ in range(NEWS_MAX):
            if [there + 1, "EXISTS"] in self.talker.ask("hear"):
                return
        raise Failed(f"{NEWS_MAX} times there was other news than {there + 1} EXISTS")


class Imapclient(LibraryVisit):
    """imapclient, the library for Python."""

    name = "imapclient"

    @classmethod
    def missing(cls, packages: Packages) -> str:
        return packages.missing_python()

    def start(self) -> Talker:
        words = [self.place.packages.python, SCRIPTS / "imapclient_client.py"]
        return Talker(words, {}, self.place.home)

    def steps(self) -> Sequence[Step]:
        return (*super().steps(), self.by_token)

    def by_token(self) -> None:
        """OAUTHBEARER and XOAUTH2; a wrong token is a failed login, and no more."""
        where = {
            "host": "localhost",
            "port": self.place.port("imaps"),
            "authority": str(self.place.stage.authority),
            "user": self.place.user,
        }
        token = access_token(self.place)
        for how in ("OAUTHBEARER", "XOAUTH2"):
            names = self.talker.ask("open_by_token", how=how, token=token, **where)
            expect(sorted(names), USUAL, f"mailboxes by {how}")
            try:
                self.talker.ask("open_by_token", how=how, token=token + "x", **where)
            except Failed as refused:
                holds("AUTHENTICATIONFAILED" in str(refused), f"{how}: {refused}")
            else:
                raise Failed(f"{how}: a wrong token opens the door")


class Imapflow(LibraryVisit):
    """imapflow, the library for Node.js, which enables all extensions it knows."""

    name = "imapflow"

    @classmethod
    def missing(cls, packages: Packages) -> str:
        return packages.missing_npm()

    def start(self) -> Talker:
        words: list[str | Path] = ["node", self.place.packages.npm / "imapflow_client.mjs"]
        return Talker(words, {}, self.place.home)
