"""AUTHENTICATE EXTERNAL: certificates of clients over real TLS, and whose accounts they open."""

import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio
import trustme
from cryptography import x509
from trio.testing import memory_stream_pair

from protocols.imap import ImapDoor
from protocols.tls_stream import TlsStream
from tests.fakes import FakeHouse, make_house
from tests.protocols.imap.stage import ALICE, SECRET, Client
from tests.tls import NAME, Authority, issue

BOB = "bob@example.org"
EXTERNAL = b" AUTH=EXTERNAL "
OPENED = b"x OK [CAPABILITY "
ASIDE = b"x NO [AUTHORIZATIONFAILED] Acting for another user is not offered"
NOBODYS = b"x NO [AUTHENTICATIONFAILED] The certificate names no account here"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def people() -> Authority:
    """Who the users' certificates are from."""
    return Authority()


@dataclass
class Town:
    """A door that asks for certificates, seen from another network."""

    house: FakeHouse
    authority: Authority
    door: ImapDoor
    nursery: trio.Nursery

    async def connect(
        self, shows: trustme.LeafCert | None, *, starttls: bool = True
    ) -> tuple[Client, bytes]:
        """A client under TLS, and its capabilities."""
        context = self.authority.client(shows=shows)
        ours, theirs = memory_stream_pair()
        tls = trio.SSLStream(ours, context, server_hostname=NAME)
        if starttls:
            self.nursery.start_soon(self.door.converse, theirs, "192.0.2.1", False)
            outside = Client(ours)
            assert EXTERNAL not in await outside.line()
            await outside.say(b"a STARTTLS")
            await outside.line()
            client = Client(tls)
            (capabilities, _ending) = await client.ask(b"CAPABILITY")
        else:
            self.nursery.start_soon(self._implicit, theirs)
            client = Client(tls)
            capabilities = await client.line()
        return client, capabilities + b" "

    async def _implicit(self, stream: trio.abc.Stream) -> None:
        assert self.door.tls is not None
        wrapped = TlsStream(stream, self.door.tls)
        await wrapped.do_handshake()
        await self.door.converse(wrapped, "192.0.2.1", True)


@asynccontextmanager
async def town(authority: Authority, people: Authority) -> AsyncIterator[Town]:
    house = make_house({ALICE: SECRET, BOB: SECRET})
    door = ImapDoor(house.ports, tls=authority.server(client_ca=people.ca))
    async with trio.open_nursery() as nursery:
        yield Town(house, authority, door, nursery)
        nursery.cancel_scope.cancel()


def named(people: Authority, *names: str) -> trustme.LeafCert:
    return issue(people.ca, [x509.RFC822Name(name) for name in names])


async def external(client: Client, authzid: str = "") -> bytes:
    initial = base64.b64encode(authzid.encode()) or b"="
    return (await client.ask(b"AUTHENTICATE EXTERNAL " + initial, b"x"))[-1]


@pytest.mark.parametrize("starttls", [True, False])
async def test_a_certificate_opens_the_account_whose_address_it_names(
    authority: Authority, people: Authority, starttls: bool
) -> None:
    async with town(authority, people) as there:
        for names, authzid in (
            ([ALICE], ""),
            ([ALICE], ALICE),
            (["Alice@Example.ORG", "alice@elsewhere.example"], ALICE),
        ):
            client, capabilities = await there.connect(named(people, *names), starttls=starttls)
            assert EXTERNAL in capabilities and b" AUTH=PLAIN " in capabilities
            assert (await external(client, authzid)).startswith(OPENED)
            await client.select()


async def test_an_empty_challenge_asks_for_whom_it_is(
    authority: Authority, people: Authority
) -> None:
    async with town(authority, people) as there:
        client, _ = await there.connect(named(people, ALICE))
        await client.say(b"x AUTHENTICATE EXTERNAL")
        assert await client.line() == b"+ "
        await client.say(b"*")
        assert (await client.line()).startswith(b"x BAD ")
        await client.say(b"x AUTHENTICATE EXTERNAL")
        assert await client.line() == b"+ "
        await client.say(b"")
        assert (await client.line()).startswith(OPENED)


async def test_nobody_gets_in_as_another_or_by_a_name_that_is_no_address(
    authority: Authority, people: Authority
) -> None:
    async with town(authority, people) as there:
        client, _ = await there.connect(named(people, ALICE))
        for other in (BOB, "nobody@example.org"):
            assert await external(client, other) == ASIDE
        assert (await external(client, "a\0b")).startswith(b"x BAD ")
        assert (await external(client)).startswith(OPENED)
        for names in (["nobody@example.org"], [ALICE, BOB]):
            client, capabilities = await there.connect(named(people, *names))
            assert EXTERNAL in capabilities
            assert await external(client) == NOBODYS
            assert await external(client, ALICE) == NOBODYS
        # its common name is bob@example.org: that is not what authorities check
        for names in ([], [x509.DNSName("example.org")]):
            client, capabilities = await there.connect(issue(people.ca, names))
            assert EXTERNAL not in capabilities
            assert await external(client) == b"x NO [CANNOT] No such mechanism"
            assert (await client.ask(b"LOGIN alice@example.org secret"))[-1].startswith(b"t OK")


async def test_who_shows_nothing_or_is_asked_for_nothing_logs_in_as_ever(
    authority: Authority, people: Authority
) -> None:
    async with town(authority, people) as there:
        client, capabilities = await there.connect(None)
        assert EXTERNAL not in capabilities
        assert await external(client, ALICE) == b"x NO [CANNOT] No such mechanism"
        assert (await client.ask(b"LOGIN alice@example.org secret"))[-1].startswith(b"t OK")
        there.door = ImapDoor(there.house.ports, tls=authority.server())
        client, capabilities = await there.connect(named(people, ALICE))
        assert EXTERNAL not in capabilities


async def test_a_strangers_certificate_never_gets_as_far_as_a_name(
    authority: Authority, people: Authority
) -> None:
    async with town(authority, people) as there:
        strangers = Authority()
        with pytest.raises(trio.BrokenResourceError) as caught:
            await there.connect(named(strangers, ALICE))
        assert isinstance(caught.value.__cause__, ssl.SSLError)
        assert there.house.auth.attempts == []


async def test_the_certificate_stays_when_its_owner_has_logged_out_of_the_account(
    authority: Authority, people: Authority
) -> None:
    async with town(authority, people) as there:
        client, _ = await there.connect(named(people, ALICE))
        assert (await external(client)).startswith(OPENED)
        assert (await client.ask(b"UNAUTHENTICATE"))[-1].startswith(b"t OK")
        assert EXTERNAL in (await client.ask(b"CAPABILITY"))[0] + b" "
        there.house.auth.busy = True
        assert await external(client) == b"x NO [LIMIT] Too many attempts; try again later"
        there.house.auth.busy, there.house.unavailable = False, True
        assert (await external(client)).startswith(b"x NO [UNAVAILABLE]")
        there.house.unavailable = False
        assert (await external(client)).startswith(OPENED)
