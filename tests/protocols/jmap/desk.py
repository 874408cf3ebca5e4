"""A desk to write JMAP stories at: a house in memory, its HTTP application, and one user's calls.

desk = Desk(); email = desk.deliver(message()); got = await desk.call("Email/get", ids=[email])
"""

import base64
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from protocols.delivery import prepare
from protocols.http.app import HttpApp, HttpSettings
from protocols.http.requests import Message
from protocols.jmap.capabilities import CAPABILITIES, Limits
from storage.ids import AccountId, MailboxId
from storage.mail.ingest import plan_ingest
from storage.mail.mailboxes import by_role
from storage.mail.records import IngestedEmail
from storage.plan import Plan
from tests.fakes import FakeHouse, make_house

ALICE: Final = "alice@example.org"
SECRET: Final = "correct horse"
BOB: Final = "bob@example.org"

PLAIN: Final = (
    b"From: Ann <ann@example.net>\r\nTo: alice@example.org\r\nSubject: Hello\r\n"
    b"Date: Sun, 1 Nov 2026 10:00:00 +0100\r\nMessage-ID: <one@example.net>\r\n\r\nHi there.\r\n"
)


def message(subject: str = "Hello", *, number: int = 1, body: str = "Hi there.\r\n") -> bytes:
    """A plain message of its own thread."""
    return (
        f"From: Ann <ann@example.net>\r\nTo: alice@example.org\r\nSubject: {subject}\r\n"
        f"Date: Sun, 1 Nov 2026 10:00:00 +0100\r\nMessage-ID: <{number}@example.net>\r\n\r\n{body}"
    ).encode()


class Answer:
    """What came back over HTTP."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


class Desk:
    """Alice, signed in at one node over HTTP on loopback."""

    def __init__(self, *, limits: Limits | None = None, **settings: Any) -> None:
        self.house: FakeHouse = make_house({ALICE: SECRET, BOB: "other"})
        self.ready = True
        self.app = HttpApp(
            self.house.ports,
            HttpSettings(limits=limits or Limits(), **settings),
            ready=lambda: self.ready,
        )
        self.account = f"a{self.house.accounts[ALICE]}"
        self.bob = f"a{self.house.accounts[BOB]}"

    @property
    def number(self) -> AccountId:
        """Alice's account."""
        return self.house.accounts[ALICE]

    def mailbox(self, role: str) -> str:
        """The id of Alice's mailbox with a role."""
        found = by_role(self.house.view(), self.number, role)
        assert found is not None
        return f"m{found.id}"

    def deliver(
        self,
        data: bytes = PLAIN,
        *,
        role: str = "inbox",
        received_ms: int | None = None,
        keywords: Collection[str] = (),
    ) -> str:
        """Put a message into a mailbox; its id."""
        return f"e{self.ingest(data, role, received_ms, keywords).id}"

    def ingest(
        self, data: bytes, role: str, received_ms: int | None, keywords: Collection[str]
    ) -> IngestedEmail:
        """The same, with all that ingest tells."""
        box = MailboxId(int(self.mailbox(role)[1:]))
        email = prepare(data, received_ms=received_ms or self.house.clock.now_ms())

        def command(plan: Plan) -> IngestedEmail:
            return plan_ingest(plan, self.number, email, mailboxes=[box], keywords=keywords)

        return self.house.run(command, blobs=[data])

    async def http(
        self,
        method: str,
        target: str,
        body: bytes | Sequence[bytes] = b"",
        *,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = (ALICE, SECRET),
        remote: str = "127.0.0.1",
        scheme: str = "http",
    ) -> Answer:
        """One request to the ASGI application."""
        sent = {"host": "mail.example.org:8080", **(headers or {})}
        if auth is not None:
            sent["authorization"] = "Basic " + base64.b64encode(":".join(auth).encode()).decode()
        path, _, query = target.partition("?")
        pieces = [body] if isinstance(body, bytes) else list(body)
        messages = [
            {"type": "http.request", "body": piece, "more_body": at < len(pieces)}
            for at, piece in enumerate(pieces, start=1)
        ]
        told: list[Message] = []

        async def receive() -> Message:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(told_now: Message) -> None:
            told.append(told_now)

        scope = {
            "type": "http",
            "method": method,
            "scheme": scheme,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(k.encode(), v.encode()) for k, v in sent.items()],
            "client": (remote, 4711),
            "server": ("192.0.2.7", 8080),
        }
        await self.app(scope, receive, send)
        head = {k.decode(): v.decode("latin-1") for k, v in told[0]["headers"]}
        return Answer(told[0]["status"], head, b"".join(m["body"] for m in told[1:]))

    async def post(self, document: Any, **more: Any) -> Answer:
        """A request to the API resource; bytes go as they are."""
        body = document if isinstance(document, bytes) else msgspec.json.encode(document)
        headers = {"content-type": "application/json", **more.pop("headers", {})}
        return await self.http("POST", "/jmap/api", body, headers=headers, **more)

    async def request(
        self, *calls: Sequence[Any], using: Collection[str] = CAPABILITIES, **more: Any
    ) -> list[Any]:
        """The method responses to calls written as (name, arguments[, id])."""
        written = [[c[0], c[1], c[2] if len(c) > 2 else f"c{n}"] for n, c in enumerate(calls)]
        answer = await self.post({"using": sorted(using), "methodCalls": written, **more})
        assert answer.status == 200, answer.body
        responses: list[Any] = answer.json["methodResponses"]
        return responses

    async def call(self, name: str, **arguments: Any) -> Any:
        """The arguments of the response to one call on Alice's account; an error must not be."""
        ((told, result, _),) = await self.request([name, {"accountId": self.account, **arguments}])
        assert told == name, result
        return result

    async def refusal(self, name: str, **arguments: Any) -> str:
        """The type of the error that one call answers."""
        ((told, result, _),) = await self.request([name, {"accountId": self.account, **arguments}])
        assert told == "error", result
        type_: str = result["type"]
        return type_
