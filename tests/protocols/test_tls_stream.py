"""TLS of the mail doors: both ways, to the end, cut short, garbled; and what it is bound to."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import trio
import trio.testing
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL

from protocols import tls_stream
from protocols.tls_stream import (
    NAMES_MAX,
    RECEIVE_BYTES_MAX,
    RECORDS_BYTES_MAX,
    TlsContext,
    TlsStream,
    mail_addresses,
)
from tests.tls import NAME, Authority, BindingClient, issue, of_version_2

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
LARGE = bytes(range(256)) * (5 * RECORDS_BYTES_MAX // 512)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@dataclass
class Pair:
    """A connection after its handshake."""

    ours: TlsStream
    theirs: trio.SSLStream[trio.abc.Stream]
    wire: trio.abc.Stream
    """Below the client's TLS."""


async def shake(
    transports: tuple[trio.abc.Stream, trio.abc.Stream],
    server: TlsContext,
    client: ssl.SSLContext,
    *,
    https_compatible: bool = False,
) -> Pair:
    ours = TlsStream(transports[0], server)
    theirs = trio.SSLStream(
        transports[1], client, server_hostname=NAME, https_compatible=https_compatible
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.do_handshake)
        nursery.start_soon(theirs.do_handshake)
    return Pair(ours, theirs, transports[1])


@asynccontextmanager
async def sockets() -> AsyncIterator[tuple[trio.SocketStream, trio.SocketStream]]:
    ours, theirs = trio.socket.socketpair()
    async with trio.SocketStream(ours) as one, trio.SocketStream(theirs) as other:
        yield one, other


async def read_all(stream: trio.abc.ReceiveStream, octets: int) -> bytes:
    data = b""
    while len(data) < octets:
        piece = await stream.receive_some(40_000)
        assert piece, "ended early"
        data += piece
    return data


@pytest.mark.parametrize("version", [TLS12, TLS13])
async def test_large_data_goes_both_ways_at_once(
    authority: Authority, version: ssl.TLSVersion
) -> None:
    client = authority.client()
    client.minimum_version = client.maximum_version = version
    async with sockets() as (one, other):
        for transports in (trio.testing.memory_stream_pair(), (one, other)):
            pair = await shake(transports, authority.server(), client)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pair.ours.send_all, LARGE)
                nursery.start_soon(pair.theirs.send_all, LARGE[::-1])

                async def hear(pair: Pair = pair) -> None:
                    assert await read_all(pair.theirs, len(LARGE)) == LARGE

                nursery.start_soon(hear)
                assert await read_all(pair.ours, len(LARGE)) == LARGE[::-1]
            await pair.ours.send_all(b"")
            await pair.ours.send_all(b"small")
            assert await pair.theirs.receive_some() == b"small"


async def test_both_ends_say_that_they_close(authority: Authority) -> None:
    """theirs is strict: without close_notify it would raise."""
    async with sockets() as transports:
        pair = await shake(transports, authority.server(), authority.client())
        await pair.ours.send_eof()
        assert await pair.theirs.receive_some() == b""
        # what the peer still says is heard, after our last words
        await pair.theirs.send_all(b"one more")
        assert await pair.ours.receive_some() == b"one more"
        await pair.theirs.aclose()
        assert await pair.ours.receive_some() == b""
        await pair.ours.aclose()
        for use in (pair.ours.receive_some(), pair.ours.send_all(b"x")):
            with pytest.raises(trio.ClosedResourceError):
                await use
        await pair.ours.aclose()
    pair = await shake(trio.testing.memory_stream_pair(), authority.server(), authority.client())
    await pair.ours.aclose()
    assert await pair.theirs.receive_some() == b""


async def test_an_end_without_close_notify_is_an_end(authority: Authority) -> None:
    pair = await shake(trio.testing.memory_stream_pair(), authority.server(), authority.client())
    await pair.theirs.send_all(b"whole")
    await pair.wire.aclose()
    assert await pair.ours.receive_some() == b"whole"
    assert await pair.ours.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError):
        await pair.ours.send_all(b"nobody hears it")
    with pytest.raises(trio.BrokenResourceError):
        await pair.ours.receive_some()
    await pair.ours.aclose()


async def test_a_record_that_is_not_the_peers_ends_it_with_an_alert(authority: Authority) -> None:
    pair = await shake(trio.testing.memory_stream_pair(), authority.server(), authority.client())
    await pair.wire.send_all(b"\x17\x03\x03\x00\x20" + b"forged" * 6)
    with pytest.raises(trio.BrokenResourceError):
        await pair.ours.receive_some()
    with pytest.raises(trio.BrokenResourceError) as caught:
        await pair.theirs.receive_some()
    assert "alert" in str(caught.value.__cause__).lower()
    with pytest.raises(trio.BrokenResourceError):
        await pair.ours.send_all(b"x")
    await pair.ours.aclose()


async def test_a_send_that_stops_in_the_middle_is_the_last(authority: Authority) -> None:
    async with sockets() as transports:
        pair = await shake(transports, authority.server(), authority.client())
        with trio.move_on_after(0.01) as scope:
            await pair.ours.send_all(bytes(8 << 20))  # more than the kernel takes
        assert scope.cancelled_caught
        with pytest.raises(trio.BrokenResourceError):
            await pair.ours.send_all(b"x")
        await pair.ours.aclose()


async def test_a_receive_that_is_given_up_loses_nothing(
    authority: Authority, autojump_clock: trio.testing.MockClock
) -> None:
    pair = await shake(trio.testing.memory_stream_pair(), authority.server(), authority.client())
    with trio.move_on_after(1):
        await pair.ours.receive_some()
    await pair.theirs.send_all(b"later")
    assert await pair.ours.receive_some(3) == b"lat"
    assert await pair.ours.receive_some() == b"er"


async def test_two_may_not_send_or_receive_at_once(authority: Authority) -> None:
    async with sockets() as transports:
        pair = await shake(transports, authority.server(), authority.client())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pair.ours.receive_some)
            nursery.start_soon(pair.ours.send_all, bytes(8 << 20))
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await pair.ours.receive_some()
            with pytest.raises(trio.BusyResourceError):
                await pair.ours.send_all(b"x")
            nursery.cancel_scope.cancel()


async def test_closing_under_a_send_that_waits_does_not_wait(authority: Authority) -> None:
    async with sockets() as transports:
        pair = await shake(transports, authority.server(), authority.client())

        async def send() -> None:
            with suppress(trio.ClosedResourceError, trio.BrokenResourceError):
                await pair.ours.send_all(bytes(8 << 20))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            await pair.ours.aclose()


async def test_memory_is_bounded_by_what_is_taken_at_once(authority: Authority) -> None:
    """However much comes and goes: the transport is asked for, and given, no more than that."""
    ours, theirs = trio.testing.memory_stream_pair()
    sizes: list[int] = []

    class Measuring(trio.abc.Stream):
        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            sizes.append(len(data))
            await ours.send_all(data)

        async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
            assert max_bytes is not None and max_bytes <= RECEIVE_BYTES_MAX
            return await ours.receive_some(max_bytes)

        async def wait_send_all_might_not_block(self) -> None:
            await ours.wait_send_all_might_not_block()

        async def aclose(self) -> None:
            await ours.aclose()

    pair = await shake((Measuring(), theirs), authority.server(), authority.client())
    sizes.clear()
    await pair.ours.wait_send_all_might_not_block()
    await pair.ours.send_all(LARGE)
    assert await read_all(pair.theirs, len(LARGE)) == LARGE
    assert max(sizes) <= RECORDS_BYTES_MAX + 4096 and len(sizes) == 3


async def test_who_speaks_no_tls_or_old_tls_is_not_spoken_to(authority: Authority) -> None:
    old = authority.client()
    with pytest.warns(DeprecationWarning):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(BaseExceptionGroup) as caught:
        await shake(trio.testing.memory_stream_pair(), authority.server(), old)
    assert caught.group_contains(trio.BrokenResourceError)
    ours, theirs = trio.testing.memory_stream_pair()
    stream = TlsStream(ours, authority.server())
    await theirs.send_all(b"a STARTTLS\r\n")
    with pytest.raises(trio.BrokenResourceError):
        await stream.do_handshake()
    ours, theirs = trio.testing.memory_stream_pair()
    stream = TlsStream(ours, authority.server())
    await theirs.send_eof()
    with pytest.raises(trio.BrokenResourceError):
        await stream.do_handshake()


async def test_nothing_is_resumed(authority: Authority) -> None:
    server = authority.server()
    for version in (TLS12, TLS13):
        client = authority.client()
        client.minimum_version = client.maximum_version = version
        first = await shake(trio.testing.memory_stream_pair(), server, client)
        await first.ours.send_all(b"x")
        await first.theirs.receive_some()
        session = first.theirs.session
        ours, theirs = trio.testing.memory_stream_pair()
        again = trio.SSLStream(theirs, client, server_hostname=NAME)
        if session is not None:
            again.session = session
        stream = TlsStream(ours, server)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.do_handshake)
            nursery.start_soon(again.do_handshake)
        assert not again.session_reused


async def test_nothing_is_negotiated_anew(authority: Authority) -> None:
    stream, client = await shake_by(SSL.TLS1_2_VERSION, authority, authority.server())
    client.ask_anew()

    async def refuse() -> None:
        with pytest.raises(trio.BrokenResourceError):  # the client takes it ill
            await stream.receive_some()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(refuse)
        with pytest.raises(trio.BrokenResourceError) as caught:
            await client.do_handshake()
    assert "no renegotiation" in str(caught.value.__cause__)


# --- channel bindings


async def shake_by(
    version: int, authority: Authority, server: TlsContext
) -> tuple[TlsStream, BindingClient]:
    """With a client that can export keys; the standard library's cannot."""
    ours, theirs = trio.testing.memory_stream_pair()
    stream, client = TlsStream(ours, server), BindingClient(theirs, authority, version=version)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.do_handshake)
        nursery.start_soon(client.do_handshake)
    return stream, client


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
async def test_both_ends_have_the_same_binding_and_no_other_connection_has(
    authority: Authority, version: int
) -> None:
    server = authority.server()
    stream, client = await shake_by(version, authority, server)
    elsewhere, _ = await shake_by(version, authority, server)
    exported = stream.binding("tls-exporter")
    # RFC 9266 2: the label, 32 octets, an empty context
    assert exported == client.bound_to("tls-exporter")
    assert exported is not None and len(exported) == 32
    assert exported != elsewhere.binding("tls-exporter")
    # RFC 5929 3.1: the client's Finished; for TLS 1.3 there is none (RFC 8446 C.5)
    unique = client.bound_to("tls-unique") if version == SSL.TLS1_2_VERSION else None
    assert stream.binding("tls-unique") == unique
    assert stream.binding("tls-unique-for-telnet") is None
    # RFC 5929 4.1
    end_point = client.bound_to("tls-server-end-point")
    for each in (stream, elsewhere):
        assert each.binding("tls-server-end-point") == end_point


async def test_without_the_extended_master_secret_a_connection_is_bound_to_nothing(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No client at hand leaves it out: OpenSSL is made to say that this one has."""
    stream, _ = await shake_by(SSL.TLS1_2_VERSION, authority, authority.server())
    assert stream.binding("tls-exporter") is not None
    monkeypatch.setattr(tls_stream, "_extended", lambda connection: False)
    assert stream.binding("tls-exporter") is None
    assert stream.binding("tls-unique") is None
    newer, _ = await shake_by(SSL.TLS1_3_VERSION, authority, authority.server())
    assert newer.binding("tls-exporter") is not None


# --- certificates of clients


async def show(server: TlsContext, client: ssl.SSLContext) -> tuple[str, ...]:
    """The addresses that the server has seen certified."""
    pair = await shake(trio.testing.memory_stream_pair(), server, client)
    await pair.ours.send_all(b"welcome")
    assert await pair.theirs.receive_some() == b"welcome"
    return pair.ours.certified


async def test_a_verified_certificate_is_known_by_its_addresses(authority: Authority) -> None:
    people = Authority()
    alice = people.ca.issue_cert("alice@example.org", "desk.example.org")
    asking = authority.server(client_ca=people.ca)
    assert await show(asking, authority.client(shows=alice)) == ("alice@example.org",)
    assert await show(asking, authority.client()) == ()
    # where nobody is asked nobody shows one
    assert await show(authority.server(), authority.client(shows=alice)) == ()


async def test_a_certificate_that_does_not_verify_ends_the_handshake(authority: Authority) -> None:
    people, strangers = Authority(), Authority()
    asking = authority.server(client_ca=people.ca)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    names = [x509.RFC822Name("alice@example.org")]
    for shown in (
        issue(strangers.ca, names),
        issue(people.ca, names, until=yesterday),
        issue(people.ca, names, usage=ExtendedKeyUsageOID.SERVER_AUTH),
    ):
        with pytest.raises(BaseExceptionGroup) as caught:
            await show(asking, authority.client(shows=shown))
        assert caught.group_contains(trio.BrokenResourceError)


async def test_a_certificate_that_openssl_alone_can_read_names_nobody(
    authority: Authority,
) -> None:
    people = Authority()
    shown = of_version_2(people.ca, issue(people.ca, [x509.RFC822Name("alice@example.org")]))
    asking = authority.server(client_ca=people.ca)
    assert await show(asking, authority.client(shows=shown)) == ()


def other_name(value: bytes, oid: str = "1.3.6.1.5.5.7.8.9") -> x509.OtherName:
    return x509.OtherName(x509.ObjectIdentifier(oid), value)


def utf8_string(text: str) -> bytes:
    octets = text.encode()
    assert len(octets) < 128
    return bytes((12, len(octets))) + octets


MANY = tuple(f"a{n}@b" for n in range(40))
LONG = "a" * 250 + "@example.org"


@pytest.mark.parametrize(
    ("names", "addresses"),
    [
        ([], ()),
        ([x509.DNSName("example.org"), x509.UniformResourceIdentifier("mailto:a@b")], ()),
        ([x509.RFC822Name("a@b"), x509.RFC822Name("c@d")], ("a@b", "c@d")),
        ([other_name(utf8_string("gr\u00fcn@example.org"))], ("gr\u00fcn@example.org",)),
        ([other_name(b"\x0c\x82\x01\x06" + LONG.encode())], (LONG,)),
        ([other_name(utf8_string("a@b"), "1.3.6.1.4.1.311.20.2.3")], ()),
        ([other_name(b"\x16\x03a@b")], ()),  # an IA5String
        ([other_name(b"\x0c\x03a@\xff")], ()),
        ([other_name(utf8_string("a@b\0@example.org"))], ()),
        ([other_name(utf8_string("@example.org"))], ()),
        ([other_name(utf8_string("nobody"))], ()),
        ([other_name(b"\x0c\x82\x01\x4c" + b"a" * 320 + b"@example.org")], ()),
        ([x509.RFC822Name(name) for name in MANY[:NAMES_MAX]], MANY[:NAMES_MAX]),
        ([x509.RFC822Name(name) for name in MANY[: NAMES_MAX + 1]], ()),
    ],
)  # fmt: skip
def test_only_whole_mail_addresses_are_names(
    authority: Authority, names: list[x509.GeneralName], addresses: tuple[str, ...]
) -> None:
    shown = x509.load_pem_x509_certificate(issue(authority.ca, names).cert_chain_pems[0].bytes())
    assert mail_addresses(shown) == addresses
