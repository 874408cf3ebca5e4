"""The second way: what a client says it did is looked up by plain JMAP or IMAP of our own.

A step done by JMAP is looked up by IMAP, and the other way round, and always at another node.
"""

import email
import email.policy
import imaplib
import re
import smtplib
from dataclasses import dataclass
from typing import Any

import msgspec

from tests.bench.clients import Jmap
from tests.clients.stage import PASSWORD, Stage

SENDER = "carol@example.net"
# As many emails as one Email/get is asked for.
PAGE = 500
# Flags of IMAP and the keywords of JMAP that they are (RFC 8621 4.1.1).
KEYWORDS = {
    "\\Seen": "$seen",
    "\\Flagged": "$flagged",
    "\\Answered": "$answered",
    "\\Draft": "$draft",
}


@dataclass(frozen=True)
class Letter:
    """What is compared of a message."""

    keywords: frozenset[str] = frozenset()
    text: str = ""
    files: tuple[tuple[str, str], ...] = ()
    """Attached texts and their names; IMAP only tells them."""


Letters = dict[str, Letter]
"""A mailbox: its messages by their subjects, which are all different here."""


def letter(subject: str, text: str, to: str) -> bytes:
    """A message from somebody outside."""
    return (
        f"From: Carol <{SENDER}>\r\nTo: {to}\r\nSubject: {subject}\r\n"
        f"Message-ID: <{subject}@example.net>\r\nDate: Sat, 28 Nov 2026 12:00:00 +0000\r\n"
        f"\r\n{text}\r\n"
    ).encode()


def deliver(stage: Stage, node: str, to: str, subject: str, text: str) -> None:
    """A message from outside comes in."""
    hand_in(stage, node, to, letter(subject, text, to))


def hand_in(stage: Stage, node: str, to: str, octets: bytes) -> None:
    """A message comes in by LMTP."""
    with smtplib.LMTP("127.0.0.1", stage.port(node, "lmtp"), timeout=60) as lmtp:
        lmtp.sendmail(SENDER, [to], octets)


def by_imap(stage: Stage, node: str, user: str, mailbox: str, password: str = PASSWORD) -> Letters:
    """A mailbox as IMAP shows it."""
    client = imaplib.IMAP4("127.0.0.1", stage.port(node, "imap"), timeout=60)
    try:
        client.login(user, password)
        status, told = client.select(mailbox, readonly=True)
        if status != "OK":
            raise LookupError(f"{node}: {mailbox}: {told[0]!r}")
        if told[0] == b"0":
            return {}
        _, data = client.fetch("1:*", "(FLAGS BODY.PEEK[])")
        return dict(_imap_letter(*part) for part in data if isinstance(part, tuple))
    finally:
        client.logout()


def _imap_letter(head: bytes, octets: bytes) -> tuple[str, Letter]:
    found = re.search(rb"FLAGS \(([^)]*)\)", head)
    assert found is not None, head
    flags = found[1].decode().split()
    keywords = frozenset(KEYWORDS.get(flag, flag.lower()) for flag in flags if flag != "\\Recent")
    message = email.message_from_bytes(octets, policy=email.policy.default)
    body = message.get_body(("plain",))
    text = "" if body is None else str(body.get_content())
    files = tuple(
        (str(part.get_filename()), str(part.get_content())) for part in message.iter_attachments()
    )
    return str(message["Subject"]), Letter(keywords, text.strip(), files)


class JmapWitness:
    """One account, seen by JMAP at one node."""

    def __init__(self, stage: Stage, node: str, user: str) -> None:
        self._jmap = Jmap(("127.0.0.1", stage.port(node, "http")), user, PASSWORD)

    def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        """One method call; LookupError when it fails."""
        request = self._jmap.prepare([name, {"accountId": self._jmap.account, **arguments}, "c"])
        answer: dict[str, Any] = msgspec.json.decode(self._jmap.send(request))
        ((called, result, _),) = answer["methodResponses"]
        if called == "error":
            raise LookupError(f"{name}: {result}")
        told: dict[str, Any] = result
        return told

    def upload(self, octets: bytes) -> str:
        """A message into the account; its blob."""
        told: dict[str, Any] = msgspec.json.decode(self._jmap.upload(octets))
        return str(told["blobId"])

    def state(self) -> str:
        """The state of Email: a number that grows with every change."""
        return str(self.call("Email/get", ids=[])["state"])

    def mailboxes(self) -> dict[str, str]:
        """Ids by name."""
        return {box["name"]: box["id"] for box in self.call("Mailbox/get")["list"]}

    def ids(self, mailbox: str) -> dict[str, str]:
        """The emails of a mailbox: ids by subject."""
        found = self._emails(mailbox, ["id", "subject"])
        return {one["subject"]: one["id"] for one in found}

    def letters(self, mailbox: str, *, texts: bool = True) -> Letters:
        """The emails of a mailbox; without their texts when there are many."""
        wanted = ["subject", "keywords"] + (["textBody", "bodyValues"] if texts else [])
        letters = {}
        for one in self._emails(mailbox, wanted, fetchTextBodyValues=texts):
            values = one.get("bodyValues", {}).values()
            text = "".join(value["value"] for value in values)
            letters[one["subject"]] = Letter(frozenset(one["keywords"]), text.strip())
        return letters

    def _emails(self, mailbox: str, properties: list[str], **more: Any) -> list[dict[str, Any]]:
        where = self.mailboxes().get("Inbox" if mailbox == "INBOX" else mailbox)
        if where is None:
            raise LookupError(f"no mailbox {mailbox}")
        ids: list[str] = []
        # A server answers with so many at once as it likes (RFC 8620 5.5).
        while more_ids := self.call("Email/query", filter={"inMailbox": where}, position=len(ids))[
            "ids"
        ]:
            ids += more_ids
        emails: list[dict[str, Any]] = []
        for at in range(0, len(ids), PAGE):
            page = ids[at : at + PAGE]
            emails += self.call("Email/get", ids=page, properties=properties, **more)["list"]
        return emails

    def close(self) -> None:
        """Hang up."""
        self._jmap.close()
