"""SCRAM-SHA-256-PLUS over real TLS, by a client written from the RFCs; and who sits in between."""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio
from OpenSSL import SSL
from trio.testing import memory_stream_pair

from protocols import tls_stream
from protocols.imap import ImapDoor
from tests.fakes import FakeHouse, make_house
from tests.protocols.imap.stage import ALICE, SECRET, Client
from tests.tls import Authority, BindingClient

PLUS = b" AUTH=SCRAM-SHA-256-PLUS "
VERSIONS = [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@dataclass
class Line:
    """A client whose TLS is on."""

    client: Client
    tls: BindingClient
    capabilities: bytes


@dataclass
class Town:
    """A door that strangers reach from other networks."""

    house: FakeHouse
    authority: Authority
    door: ImapDoor
    nursery: trio.Nursery

    async def connect(self, version: int = SSL.TLS1_3_VERSION) -> Line:
        """Greeting, STARTTLS, CAPABILITY."""
        ours, theirs = memory_stream_pair()
        self.nursery.start_soon(self.door.converse, theirs, "192.0.2.1", False)
        outside = Client(ours)
        assert PLUS not in await outside.line()
        await outside.say(b"a STARTTLS")
        await outside.line()
        tls = BindingClient(ours, self.authority, version=version)
        await tls.do_handshake()
        client = Client(tls)
        (capabilities, _ending) = await client.ask(b"CAPABILITY")
        return Line(client, tls, capabilities + b" ")


@asynccontextmanager
async def town(authority: Authority) -> AsyncIterator[Town]:
    house = make_house({ALICE: SECRET})
    async with trio.open_nursery() as nursery:
        yield Town(house, authority, ImapDoor(house.ports, tls=authority.server()), nursery)
        nursery.cancel_scope.cancel()


async def scram(
    client: Client,
    header: bytes,
    name: bytes,
    *,
    password: bytes = SECRET.encode(),
    mechanism: bytes = b"SCRAM-SHA-256-PLUS",
    meddle: Callable[[bytes], bytes] = lambda final: final,
) -> bytes:
    """The exchange of who knows the password; the last line heard. `meddle`: with c= and r=."""
    bare = b"n=%b,r=fyko+d2lbbFgONRv9qkxdawL" % ALICE.encode()
    await client.say(b"s AUTHENTICATE " + mechanism + b" " + base64.b64encode(header + bare))
    line = await client.line()
    if not line.startswith(b"+ "):
        return line
    challenge = base64.b64decode(line[2:])
    nonce, salt, count = (field[2:] for field in challenge.split(b","))
    salted = hashlib.pbkdf2_hmac("sha256", password, base64.b64decode(salt), int(count))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    final = b"c=%b,r=%b" % (base64.b64encode(header + name), nonce)
    spoken = b",".join((bare, challenge, final))
    signature = hmac.digest(hashlib.sha256(client_key).digest(), spoken, "sha256")
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    await client.say(base64.b64encode(meddle(final) + b",p=" + base64.b64encode(proof)))
    line = await client.line()
    if not line.startswith(b"+ "):
        return line
    verifier = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), spoken, "sha256")
    assert base64.b64decode(line[2:]) == b"v=" + base64.b64encode(verifier)
    await client.say(b"")
    return await client.line()


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        (SSL.TLS1_3_VERSION, "tls-exporter"),
        (SSL.TLS1_3_VERSION, "tls-server-end-point"),
        (SSL.TLS1_2_VERSION, "tls-exporter"),
        (SSL.TLS1_2_VERSION, "tls-unique"),
        (SSL.TLS1_2_VERSION, "tls-server-end-point"),
    ],
)
async def test_a_client_bound_to_its_connection_gets_in(
    authority: Authority, version: int, kind: str
) -> None:
    async with town(authority) as there:
        line = await there.connect(version)
        assert PLUS in line.capabilities
        header = b"p=%b,," % kind.encode()
        wrong = await scram(line.client, header, line.tls.bound_to(kind), password=b"wrong")
        assert wrong.startswith(b"s NO [AUTHENTICATIONFAILED] Wrong")
        assert (await scram(line.client, header, line.tls.bound_to(kind))).startswith(b"s OK ")
        await line.client.select()


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_proof_made_for_the_man_in_the_middle_is_worth_nothing(
    authority: Authority, version: int
) -> None:
    """Alice trusts his certificate. He has a connection to us, and passes on what she says."""
    his = Authority()
    async with town(authority) as there, town(his) as his_trap:
        hers = await his_trap.connect(version)  # all she sees is his server
        onward = await there.connect(version)
        for kind in ("tls-exporter", "tls-server-end-point"):
            name = hers.tls.bound_to(kind)
            assert name != onward.tls.bound_to(kind)
            header = b"p=%b,," % kind.encode()
            answer = await scram(onward.client, header, name)
            assert answer == (
                b"s NO [AUTHENTICATIONFAILED] SCRAM says e=channel-bindings-dont-match"
            )

        # his own name put in where hers stood: then it is not what she has proved
        def forge(final: bytes, line: Line = onward) -> bytes:
            bound = b"p=tls-exporter,," + line.tls.bound_to("tls-exporter")
            return b"c=" + base64.b64encode(bound) + final[final.index(b",r=") :]

        name = hers.tls.bound_to("tls-exporter")
        answer = await scram(onward.client, b"p=tls-exporter,,", name, meddle=forge)
        assert answer.startswith(b"s NO [AUTHENTICATIONFAILED] Wrong")
        # -PLUS hidden from her: she says y, and it is seen
        answer = await scram(onward.client, b"y,,", b"", mechanism=b"SCRAM-SHA-256")
        assert answer == (
            b"s NO [AUTHENTICATIONFAILED] SCRAM says e=server-does-support-channel-binding"
        )


async def test_names_that_the_connection_has_not_and_flags_that_do_not_fit(
    authority: Authority,
) -> None:
    async with town(authority) as there:
        line = await there.connect()
        for header in (b"p=tls-unique,,", b"p=tls-unheard-of,,"):
            assert await scram(line.client, header, b"x") == (
                b"s NO [AUTHENTICATIONFAILED] SCRAM says e=unsupported-channel-binding-type"
            )
        assert (await scram(line.client, b"n,,", b"")).startswith(b"s BAD ")
        name = line.tls.bound_to("tls-exporter")
        answer = await scram(line.client, b"p=tls-exporter,,", name, mechanism=b"SCRAM-SHA-256")
        assert answer.startswith(b"s BAD ")
        # who does not bind at all gets in as ever
        answer = await scram(line.client, b"n,,", b"", mechanism=b"SCRAM-SHA-256")
        assert answer.startswith(b"s OK ")


async def test_where_nothing_is_surely_ours_binding_is_not_offered(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS 1.2 without the extended master secret; and in clear text, on this machine."""
    monkeypatch.setattr(tls_stream, "_extended", lambda connection: False)
    async with town(authority) as there:
        line = await there.connect(SSL.TLS1_2_VERSION)
        assert PLUS not in line.capabilities and b" AUTH=SCRAM-SHA-256 " in line.capabilities
        name = line.tls.bound_to("tls-server-end-point")
        answer = await scram(line.client, b"p=tls-server-end-point,,", name)
        assert answer == b"s NO [CANNOT] No such mechanism"
        # it could, and we cannot: that is what y is for
        answer = await scram(line.client, b"y,,", b"", mechanism=b"SCRAM-SHA-256")
        assert answer.startswith(b"s OK ")
        ours, theirs = memory_stream_pair()
        there.nursery.start_soon(there.door.converse, theirs, "127.0.0.1", False)
        assert PLUS not in await Client(ours).line()
