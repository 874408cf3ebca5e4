"""Clients of the three doors over any stream, as little as a client can be: ask, read the answer.

Whatever does not go as it should ends a conversation with `Gone`: then the outcome of what was
asked last is unknown, and the caller has to live with that, as real clients do.
"""

import base64
import json
import re
from dataclasses import dataclass
from typing import Any, Final

import trio

ANSWER_OCTETS_MAX: Final = 8 * 1024 * 1024
UID: Final = re.compile(rb"UID (\d+)")
FLAGS: Final = re.compile(rb"FLAGS \(([^)]*)\)")
SUBJECT: Final = re.compile(rb"(?i)Subject: (\S+)")


class Gone(Exception):
    """The conversation broke off, or the node said that it cannot."""


class Lines:
    """A stream read by lines and counts."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream, self._held = stream, b""

    async def say(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Gone("broken") from error

    async def _more(self) -> None:
        try:
            data = await self._stream.receive_some(65536)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Gone("broken") from error
        if not data or len(self._held) > ANSWER_OCTETS_MAX:
            raise Gone("closed")
        self._held += data

    async def line(self) -> bytes:
        while (end := self._held.find(b"\r\n")) < 0:
            await self._more()
        line, self._held = self._held[:end], self._held[end + 2 :]
        return line

    async def exactly(self, count: int) -> bytes:
        while len(self._held) < count:
            await self._more()
        data, self._held = self._held[:count], self._held[count:]
        return data

    async def close(self) -> None:
        await trio.aclose_forcefully(self._stream)


class Lmtp(Lines):
    """Deliveries to one recipient at a time."""

    async def greet(self) -> None:
        await self._reply(b"220")
        await self.say(b"LHLO client.example\r\n")
        await self._reply(b"250")

    async def _reply(self, wanted: bytes) -> None:
        line = await self.line()
        while line[3:4] == b"-":
            line = await self.line()
        if not line.startswith(wanted):
            raise Gone(line.decode(errors="replace"))

    async def deliver(self, recipient: str, message: bytes) -> None:
        """Return when the message is accepted for good."""
        for said, wanted in (
            (b"MAIL FROM:<client@example.net>\r\n", b"250"),
            (f"RCPT TO:<{recipient}>\r\n".encode(), b"250"),
            (b"DATA\r\n", b"354"),
            (message + b".\r\n", b"250"),
        ):
            await self.say(said)
            await self._reply(wanted)


@dataclass(frozen=True, slots=True)
class Row:
    """One message of a listing."""

    uid: int
    token: str
    flags: tuple[str, ...]


class Imap(Lines):
    """One IMAP session."""

    _tag = 0
    said = b""
    """The tagged answer of the last command that succeeded."""

    async def login(self, user: str, password: str) -> None:
        await self.line()
        await self.ask(f"LOGIN {user} {password}")

    async def ask(self, command: str) -> list[bytes]:
        """The untagged answers to a command that succeeds; literals stand inside their line."""
        self._tag += 1
        tag = b"a%d " % self._tag
        await self.say(tag + command.encode() + b"\r\n")
        answers: list[bytes] = []
        while True:
            line = await self.line()
            while line.endswith(b"}"):
                literal = await self.exactly(int(line[line.rindex(b"{") + 1 : -1]))
                line += b"\r\n" + literal + await self.line()
            if line.startswith(tag):
                if not line.startswith(tag + b"OK"):
                    raise Gone(line.decode(errors="replace"))
                self.said = line
                return answers
            answers.append(line)

    async def append(self, mailbox: str, message: bytes) -> tuple[int, int]:
        """UIDVALIDITY and UID of a message that is accepted for good."""
        self._tag += 1
        await self.say(b'a%d APPEND "%b" {%d}\r\n' % (self._tag, mailbox.encode(), len(message)))
        while not (line := await self.line()).startswith(b"+"):
            if not line.startswith(b"* "):
                raise Gone(line.decode(errors="replace"))
        await self.say(message + b"\r\n")
        while (line := await self.line()).startswith(b"* "):
            pass
        found = re.fullmatch(rb"a%d OK \[APPENDUID (\d+) (\d+)\].*" % self._tag, line)
        if found is None:
            raise Gone(line.decode(errors="replace"))
        return int(found[1]), int(found[2])

    async def select(self, mailbox: str) -> int:
        """The mailbox's UIDVALIDITY."""
        for line in await self.ask(f'SELECT "{mailbox}"'):
            found = re.search(rb"\[UIDVALIDITY (\d+)\]", line)
            if found is not None:
                return int(found[1])
        raise Gone("no UIDVALIDITY")

    async def rows(self) -> list[Row]:
        """All messages of the selected mailbox, as the server lists them."""
        wanted = "UID FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"
        rows: dict[int, Row] = {}
        for line in await self.ask(wanted):
            uid, flags, subject = UID.search(line), FLAGS.search(line), SUBJECT.search(line)
            if uid is not None and flags is not None and subject is not None:
                # \Recent is about this session, and changes of others may come in between.
                kept = {f for f in flags[1].decode().split() if f != r"\Recent"}
                row = Row(int(uid[1]), subject[1].decode(), tuple(sorted(kept)))
                rows.setdefault(row.uid, row)
        return list(rows.values())


class Jmap(Lines):
    """One HTTP/1.1 connection with Basic authentication."""

    account = ""
    _head = ""

    async def login(self, user: str, password: str) -> None:
        secret = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._head = f"Host: localhost\r\nAuthorization: Basic {secret}\r\n"
        session = await self._answer_to(f"GET /.well-known/jmap HTTP/1.1\r\n{self._head}\r\n")
        self.account = session["primaryAccounts"]["urn:ietf:params:jmap:mail"]

    async def _answer_to(self, request: str, body: bytes = b"") -> Any:
        await self.say(request.encode() + body)
        status, length = await self.line(), 0
        while line := await self.line():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        answer = await self.exactly(length)
        if status[9:12] not in (b"200", b"201"):
            raise Gone(status.decode(errors="replace"))
        return json.loads(answer)

    async def upload(self, data: bytes) -> str:
        """The blob's id."""
        head = f"{self._head}Content-Type: message/rfc822\r\nContent-Length: {len(data)}\r\n"
        request = f"POST /jmap/upload/{self.account}/ HTTP/1.1\r\n{head}\r\n"
        return str((await self._answer_to(request, data))["blobId"])

    async def call(self, *calls: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
        """The arguments of every response; Gone when one of them is an error."""
        using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"]
        invocations = [
            [name, {"accountId": self.account, **arguments}, str(number)]
            for number, (name, arguments) in enumerate(calls)
        ]
        body = json.dumps({"using": using, "methodCalls": invocations})
        head = f"{self._head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        answers = await self._answer_to(f"POST /jmap/api HTTP/1.1\r\n{head}\r\n{body}")
        responses: list[Any] = answers["methodResponses"]
        for name, arguments, _ in responses:
            if name == "error":
                raise Gone(arguments["type"])
        return [arguments for _, arguments, _ in responses]

    async def emails(self, properties: list[str]) -> tuple[str, list[dict[str, Any]]]:
        """The state and every email of the account, with these properties."""
        ids = {"resultOf": "0", "name": "Email/query", "path": "/ids"}
        sort = [{"property": "receivedAt", "isAscending": False}]
        _, got = await self.call(
            ("Email/query", {"sort": sort, "limit": 400}),
            ("Email/get", {"#ids": ids, "properties": ["id", "subject", *properties]}),
        )
        return got["state"], got["list"]

    async def mailboxes(self) -> dict[str, str]:
        """Ids by name."""
        (got,) = await self.call(("Mailbox/get", {"ids": None, "properties": ["id", "name"]}))
        return {one["name"]: one["id"] for one in got["list"]}

    async def import_(self, blob: str, mailbox: str) -> str:
        """The id of the email that the message becomes; Gone when it is refused."""
        email = {"blobId": blob, "mailboxIds": {mailbox: True}}
        return await self._created("Email/import", {"emails": {"e": email}})

    async def create(self, subject: str, mailbox: str) -> str:
        """The id of an email made of its parts; Gone when it is refused."""
        email = {
            "mailboxIds": {mailbox: True},
            "from": [{"email": "client@example.net"}],
            "subject": subject,
            "bodyValues": {"t": {"value": "line of text\n"}},
            "textBody": [{"partId": "t", "type": "text/plain"}],
        }
        return await self._created("Email/set", {"create": {"e": email}})

    async def _created(self, call: str, arguments: dict[str, Any]) -> str:
        (answer,) = await self.call((call, arguments))
        if not answer.get("created"):
            raise Gone(str(answer.get("notCreated")))
        return str(answer["created"]["e"]["id"])
