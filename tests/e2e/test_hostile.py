"""Hostile peers at every door of a real node: it goes on serving others, in bounded memory.

After each probe the node is alive, takes a delivery and serves JMAP and IMAP quickly, has grown by
a bounded amount, and its log holds no bug: what a peer sends is never one (wellness.unharmed).
"""

import base64
import random
import re
import signal
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import h2.config
import h2.connection
import pytest

from tests.bench.clients import Imap, Jmap
from tests.e2e.cluster import RealCluster, RealNode, running
from tests.e2e.wellness import (
    PASSWORD,
    USER,
    complaints,
    deliver,
    newest,
    served_s,
    unharmed,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e")]

KIB, MIB = 1024, 1024 * 1024
TEN_GB: Final = 10_000_000_000
DOORS: Final = ("http", "imap", "lmtp")
BASIC: Final = base64.b64encode(f"{USER}:{PASSWORD}".encode())
ENVELOPE: Final = b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@example.org>\r\n"
HEAD: Final = {
    "http": b"GET /.well-known/jmap HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    "imap": b"a LOGIN alice@example.org ",
    "lmtp": b"LHLO slow.example",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with running(tmp_path_factory.mktemp("hostile"), 1) as cluster:
        for _ in range(5):
            served_s(cluster.nodes[0])  # warm: imports, caches and arenas are there
        yield cluster


@pytest.fixture
def node(cluster: RealCluster) -> RealNode:
    return cluster.nodes[0]


def dial(
    node: RealNode, door: str, source: str = "127.0.0.1", timeout_s: float = 20
) -> socket.socket:
    """A connection to a door; strangers who guess come from an address of their own."""
    return socket.create_connection(node.address(door), timeout_s, source_address=(source, 0))


def read_to_end(sock: socket.socket, most: int = MIB) -> bytes:
    """All that comes until the node closes, or until it says nothing more for the timeout."""
    heard = b""
    try:
        while len(heard) < most and (data := sock.recv(64 * KIB)):
            heard += data
    except (TimeoutError, ConnectionError):
        pass
    return heard


def push(sock: socket.socket, data: bytes) -> None:
    """Send as much as the node takes; it may hang up in the middle."""
    try:
        sock.sendall(data)
    except OSError:
        pass


def reset(sock: socket.socket) -> None:
    """Close with RST and not FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def say(node: RealNode, door: str, data: bytes, *, timeout_s: float = 5) -> bytes:
    """Send, and hear what there is to hear."""
    with dial(node, door, timeout_s=timeout_s) as sock:
        push(sock, data)
        return read_to_end(sock)


def imap_logged_in(node: RealNode) -> Imap:
    return Imap(node.address("imap"), USER, PASSWORD)


def api_request(body: bytes, *, length: int | None = None) -> bytes:
    """POST /jmap/api as alice."""
    return (
        b"POST /jmap/api HTTP/1.1\r\nHost: x\r\nAuthorization: Basic " + BASIC + b"\r\n"
        b"Connection: close\r\nContent-Length: %d\r\n\r\n"
        % (len(body) if length is None else length)
    ) + body


# --- hypercorn's two


UPGRADE: Final = (
    b"GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def test_websocket_upgrades_with_an_extra_byte(cluster: RealCluster, node: RealNode) -> None:
    with unharmed(cluster, node, "websocket and a byte"):
        for turn in range(20):
            for path in (b"/", b"/jmap/ws", b"/jmap/api"):
                with dial(node, "http", timeout_s=0.5) as sock:
                    push(sock, UPGRADE % path + (b"\x00", b"\xff" * 9, b"\x8f\x80")[turn % 3])
                    read_to_end(sock)


def test_downloads_nobody_reads_do_not_hold_up_the_stop(tmp_path: Path) -> None:
    """One by our own HTTP/1.1, one by hypercorn (HTTP/2 without TLS), one IMAP body."""
    with running(tmp_path, 1) as own:
        node = own.nodes[0]
        big = b"Subject: big\r\n\r\n" + (b"x" * 998 + b"\r\n") * 20_000
        assert deliver(node, big).startswith(b"250")
        jmap = Jmap(node.address("http"), USER, PASSWORD)
        path = f"/jmap/download/{jmap.account}/{newest(node, ['blobId'])['blobId']}/big.eml"
        stuck = [unread(node, "http") for _ in range(2)] + [unread(node, "imap")]
        get = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {BASIC.decode()}\r\n\r\n"
        stuck[0].sendall(get.encode())
        stuck[1].sendall(download_by_http2(path))
        stuck[2].sendall(b"a LOGIN %s %s\r\n" % (USER.encode(), PASSWORD.encode()))
        stuck[2].sendall(b"b SELECT INBOX\r\nc FETCH * BODY[]\r\n")
        time.sleep(1.0)
        assert served_s(node) < 3
        assert [bool(sock.recv(4096)) for sock in stuck] == [True] * 3
        began = time.monotonic()
        own.kill("n1", signal.SIGTERM)
        took = time.monotonic() - began
        print(f"stopped with three stuck downloads in {took:.1f} s")
        assert node.process is not None and node.process.returncode == 0
        assert took < 12 and complaints(own) == []


def unread(node: RealNode, door: str) -> socket.socket:
    """A connection whose receive buffer is as small as the system allows."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(10)
    sock.connect(node.address(door))
    return sock


def download_by_http2(path: str) -> bytes:
    """A GET that lets the server send as much as it likes."""
    peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    peer.initiate_connection()
    named = [(":method", "GET"), (":path", path), (":scheme", "http"), (":authority", "x")]
    peer.send_headers(1, [*named, ("authorization", f"Basic {BASIC.decode()}")], end_stream=True)
    peer.increment_flow_control_window(2**30)
    peer.increment_flow_control_window(2**30, 1)
    data: bytes = peer.data_to_send()
    return data


# --- too long, too large, too deep


def test_lines_of_a_megabyte(cluster: RealCluster, node: RealNode) -> None:
    line = b"x" * MIB
    with unharmed(cluster, node, "lines of 1 MB"):
        for _ in range(3):
            assert re.search(rb"(?m)^(\* BYE|a BAD)", say(node, "imap", b"a " + line + b"\r\n"))
            heard = say(node, "lmtp", line + b"\r\nQUIT\r\n")
            assert re.search(rb"(?m)^(421|50[01]) ", heard), heard
            heard = say(node, "lmtp", b"LHLO " + line, timeout_s=1)  # and no end of it
            assert re.search(rb"(?m)^(421|50[01]) ", heard), heard
            assert b" 431 " in say(node, "http", b"GET / HTTP/1.1\r\nX: " + line + b"\r\n\r\n")
            assert re.search(
                rb" 41[4] | 431 ", say(node, "http", b"GET /" + line + b" HTTP/1.1\r\n\r\n")
            )
            client = imap_logged_in(node)
            push(client.socket, b"b SEARCH SUBJECT " + line + b"\r\n")
            assert re.search(rb"(?m)^(\* BYE|b (BAD|NO))", read_some(client.socket))
            client.close()


def read_some(sock: socket.socket, quiet_s: float = 1.0) -> bytes:
    """What comes until the node is quiet."""
    sock.settimeout(quiet_s)
    return read_to_end(sock)


def test_ten_gigabytes_announced(cluster: RealCluster, node: RealNode) -> None:
    size = b"%d" % TEN_GB
    flood = b"x" * (2 * MIB)
    with unharmed(cluster, node, "10 GB announced"):
        for sign in (b"", b"+", b"-"):
            for before in (b"a LOGIN ", b"a AUTHENTICATE PLAIN ", b"a X "):
                with dial(node, "imap", timeout_s=2) as sock:
                    push(sock, before + b"{" + size + sign + b"}\r\n" + flood)
                    assert re.search(rb"(?m)^(\* BYE|a (BAD|NO))", read_to_end(sock))
            client = imap_logged_in(node)
            push(client.socket, b"b APPEND INBOX {" + size + sign + b"}\r\n")
            heard = read_some(client.socket)
            assert re.search(rb"(?m)^(\* BYE|b (BAD|NO))", heard) and b"\r\n+ " not in heard, heard
            client.close()
        hello = b"LHLO x\r\n"
        assert b"\r\n552 " in say(
            node, "lmtp", hello + b"MAIL FROM:<> SIZE=" + size + b"\r\n", timeout_s=1
        )
        heard = say(node, "lmtp", ENVELOPE + b"BDAT " + size + b" LAST\r\n" + flood, timeout_s=2)
        assert re.search(rb"\r\n(552|421|501) ", heard), heard
        for length in (TEN_GB, 10**30):
            heard = say(node, "http", api_request(b"{", length=length), timeout_s=2)
            assert re.match(rb"HTTP/1.1 (400|413)", heard), heard
        chunked = api_request(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        heard = say(node, "http", chunked + b"%x\r\n" % TEN_GB + b" " * 12 * MIB, timeout_s=3)
        assert not heard or re.match(rb"HTTP/1.1 (400|413)", heard), heard


def nested_parts(depth: int) -> bytes:
    """Multiparts inside each other; every one has a boundary of its own."""
    head = b"Subject: nested\r\n"
    opened = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
        for n in range(depth)
    )
    closed = b"".join(b"\r\n--b%d--" % n for n in reversed(range(depth)))
    return head + opened + b"Content-Type: text/plain\r\n\r\ndeep" + closed + b"\r\n"


MONSTERS: Final = {
    "10,000 nested parts": nested_parts(10_000),
    "10,000 nested messages": b"Content-Type: message/rfc822\r\n\r\n" * 10_000 + b"\r\nx\r\n",
    "100,000 sibling parts": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + b"--b\r\n\r\nx\r\n" * 100_000
    + b"--b--\r\n",
    "a To of 400 KB": b"To: "
    + b",\r\n ".join([b'"a b" <x@y.example>'] * 18_000)
    + b"\r\n\r\nx\r\n",
    "a To of brackets": b"To: " + (b"(" * 900 + b"\r\n ") * 450 + b"\r\n\r\nx\r\n",
    "encoded words": b"Subject: " + b"=?utf-8?q?=41=42?=\r\n " * 20_000 + b"\r\n\r\nx\r\n",
    "100,000 header fields": b"X: y\r\n" * 100_000 + b"\r\nx\r\n",
    "parameters": b"Content-Type: text/plain; " + b'a*1="b";\r\n ' * 30_000 + b"\r\n\r\nx\r\n",
    "nested tags": b"Content-Type: text/html\r\n\r\n" + b"<div>\r\n" * 200_000,
}


@pytest.mark.parametrize("name", MONSTERS)
def test_a_monster_is_delivered_and_read(cluster: RealCluster, node: RealNode, name: str) -> None:
    wanted = (
        "subject from to bodyStructure bodyValues textBody htmlBody attachments preview".split()
    )
    with unharmed(cluster, node, name):
        began = time.monotonic()
        assert deliver(node, MONSTERS[name]).startswith(b"250")
        delivered = time.monotonic()
        newest(node, wanted)
        shown = time.monotonic()
        imap = imap_logged_in(node)
        imap.command("SELECT INBOX")
        imap.command("FETCH * (ENVELOPE BODYSTRUCTURE BODY BODY.PEEK[1.2.3] RFC822.SIZE)")
        imap.command('SEARCH TO "nobody" SUBJECT "nothing"')
        imap.close()
        fetched = time.monotonic()
        print(
            f"{name}: delivered in {delivered - began:.2f} s, JMAP {shown - delivered:.2f} s, "
            f"IMAP {fetched - shown:.2f} s"
        )
        assert fetched - began < 8


def test_json_as_deep_as_it_may_be_long(cluster: RealCluster, node: RealNode) -> None:
    deep = (
        b"[" * (5 * MIB),
        b'{"a":' * MIB,
        b'{"using":[],"methodCalls":' + b"[" * (5 * MIB),
        b'{"using":[],"methodCalls":[["Core/echo",'
        + b'{"a":' * 500_000
        + b"1"
        + b"}" * 500_000
        + b',"c"]]}',
        b'{"using":["urn:ietf:params:jmap:core"],"methodCalls":['
        + b",".join([b'["Core/echo",{},"c"]'] * 100_000)
        + b"]}",
        b"\xff" * MIB,
        b"1" * (5 * MIB),
        b'"' + b"\\u0000" * 500_000 + b'"',
    )
    with unharmed(cluster, node, "deep JSON"):
        for body in deep:
            heard = say(node, "http", api_request(body), timeout_s=2)
            assert re.match(rb"HTTP/1.1 400 ", heard), (body[:30], heard[:300])


def test_a_huge_authorization_header(cluster: RealCluster, node: RealNode) -> None:
    with unharmed(cluster, node, "huge Authorization"):
        for size in (8 * KIB, 60 * KIB, MIB):
            head = b"GET /.well-known/jmap HTTP/1.1\r\nHost: x\r\nAuthorization: Basic "
            heard = say(node, "http", head + b"QUFB" * (size // 4) + b"\r\n\r\n", timeout_s=2)
            assert re.match(rb"HTTP/1.1 (400|401|431) ", heard), heard


# --- slow, many, gone


class Crowd(threading.Thread):
    """Hundreds of connections to one door: some say nothing, some an octet a second."""

    def __init__(self, node: RealNode, door: str, size: int) -> None:
        super().__init__(daemon=True)
        self.socks = [dial(node, door, "127.0.0.7") for _ in range(size)]
        self.door, self.over = door, threading.Event()

    def run(self) -> None:
        for number, sock in enumerate(self.socks):
            if number % 3:
                push(sock, HEAD[self.door])
        while not self.over.wait(1.0):
            for sock in self.socks[1::3]:
                push(sock, b"x")

    def leave(self) -> None:
        self.over.set()
        self.join()
        for sock in self.socks:
            sock.close()


def test_slow_crowds_at_every_door(cluster: RealCluster, node: RealNode) -> None:
    with unharmed(cluster, node, "900 slow connections"):
        crowds = [Crowd(node, door, 300) for door in DOORS]
        for crowd in crowds:
            crowd.start()
        latencies = []
        began = time.monotonic()
        while time.monotonic() - began < 5:
            latencies.append(served_s(node))
        for crowd in crowds:
            crowd.leave()
        latencies.sort()
        print(
            f"beside 900 slow ones: median {latencies[len(latencies) // 2] * 1000:.0f} ms, ", end=""
        )
        print(f"worst {latencies[-1] * 1000:.0f} ms of {len(latencies)}")
        assert latencies[-1] < 1.5


def test_thousands_of_connections_opened_and_dropped(cluster: RealCluster, node: RealNode) -> None:
    with unharmed(cluster, node, "4,500 connections dropped"):
        for turn in range(1500):
            for door in DOORS:
                sock = dial(node, door)
                if turn % 3 == 1:
                    push(sock, HEAD[door])
                reset(sock) if turn % 2 else sock.close()


def test_resets_in_the_middle_of_a_literal(cluster: RealCluster, node: RealNode) -> None:
    half = b"x" * (400 * KIB)
    with unharmed(cluster, node, "resets in literals"):
        for _ in range(10):
            client = imap_logged_in(node)
            push(client.socket, b"b APPEND INBOX {1000000+}\r\n" + half)
            reset(client.socket)
            sock = dial(node, "lmtp")
            push(sock, b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n" + half)
            reset(sock)
            sock = dial(node, "http")
            push(sock, api_request(half, length=MIB))
            reset(sock)
            sock = dial(node, "http")
            push(sock, api_request(b"{}").replace(b"Connection: close\r\n", b"") * 50)
            reset(sock)


def test_whoever_closes_one_way_still_hears_the_answer(
    cluster: RealCluster, node: RealNode
) -> None:
    said = {
        "http": (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", rb"HTTP/1.1 200"),
        "imap": (b"a NOOP\r\nb CAPABILITY\r\n", rb"\r\nb OK"),
        "lmtp": (
            ENVELOPE + b"DATA\r\nSubject: h\r\n\r\n.\r\n",
            rb"\r\n354 [^\r\n]*\r\n250 ",
        ),
    }
    with unharmed(cluster, node, "half-closed"):
        for _ in range(10):
            for door, (words, answer) in said.items():
                with dial(node, door, timeout_s=5) as sock:
                    sock.sendall(words)
                    sock.shutdown(socket.SHUT_WR)
                    assert re.search(answer, read_to_end(sock)), door
                with dial(node, door, timeout_s=5) as sock:
                    sock.sendall(words[: len(words) // 2])
                    sock.shutdown(socket.SHUT_WR)
                    read_to_end(sock)


def test_floods_of_noop(cluster: RealCluster, node: RealNode) -> None:
    flood = b"".join(b"a%d NOOP\r\n" % number for number in range(50_000))
    with unharmed(cluster, node, "floods of NOOP"):
        flooding = []
        for _ in range(3):
            imap, lmtp, http = (dial(node, door) for door in ("imap", "lmtp", "http"))
            flooding += [
                threading.Thread(target=push, args=(imap, flood), daemon=True),
                threading.Thread(target=push, args=(lmtp, b"NOOP\r\n" * 100_000), daemon=True),
                threading.Thread(
                    target=push,
                    args=(http, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 30_000),
                    daemon=True,
                ),
            ]
            for thread, sock in zip(flooding[-3:], (imap, lmtp, http), strict=True):
                sock.settimeout(3)
                thread.start()
        latencies = [served_s(node) for _ in range(5)]
        print(f"beside floods: worst {max(latencies) * 1000:.0f} ms")
        assert max(latencies) < 2
        for thread in flooding:
            thread.join()


# --- guesses and junk


def test_a_guesser_is_limited_and_others_are_not(cluster: RealCluster, node: RealNode) -> None:
    with unharmed(cluster, node, "guessing"):
        answers: list[bytes] = []
        for turn in range(60):
            with dial(node, "imap", "127.0.0.66", timeout_s=10) as sock:
                sock.sendall(b"a LOGIN alice@example.org guess%d\r\nb LOGOUT\r\n" % turn)
                answers.append(read_to_end(sock))
        refused = [answer for answer in answers if b"AUTHENTICATIONFAILED" in answer]
        print(f"{len(refused)} of {len(answers)} guesses were looked at")
        assert len(refused) <= 25 and not any(b"a OK" in answer for answer in answers)
        head = b"GET /.well-known/jmap HTTP/1.1\r\nHost: x\r\nAuthorization: Basic "
        with dial(node, "http", "127.0.0.66", timeout_s=2) as sock:
            push(sock, head + base64.b64encode(b"alice@example.org:guess") + b"\r\n\r\n")
            assert re.match(rb"HTTP/1.1 (429|503|401) ", read_to_end(sock))
        # The owner, from elsewhere and for the first time from there, gets in.
        with dial(node, "imap", "127.0.0.77", timeout_s=10) as sock:
            sock.sendall(b"a LOGIN alice@example.org alice-demo\r\nb LOGOUT\r\n")
            assert b"a OK" in read_to_end(sock)


def test_junk_for_names(cluster: RealCluster, node: RealNode) -> None:
    chance = random.Random(3)
    junk = [
        b"\x00",
        b"\xff\xfe@\xc0\x80",
        "\u202e𝒶lice@exämple.org".encode(),
        b"\xed\xa0\x80@x",
        b"a" * 5000 + b"@x",
        b"@" * 300,
        b"",
        b"alice@example.org\x00bob",
        *(chance.randbytes(40) for _ in range(10)),
    ]
    with unharmed(cluster, node, "junk names"):
        for number, name in enumerate(junk):
            source = f"127.0.1.{number + 1}"
            words = base64.b64encode(b"\0" + name + b"\0" + name)
            literal = b"{%d+}\r\n" % len(name) + name
            with dial(node, "imap", source, timeout_s=2) as sock:
                push(sock, b"a LOGIN " + literal + b" " + literal + b"\r\n")
                push(sock, b"b AUTHENTICATE PLAIN " + words + b"\r\nc LOGOUT\r\n")
                assert b" OK AUTH" not in read_to_end(sock)
            for user in (name + b":" + name, name):
                with dial(node, "http", source, timeout_s=2) as sock:
                    head = b"GET /.well-known/jmap HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                    push(
                        sock, head + b"Authorization: Basic " + base64.b64encode(user) + b"\r\n\r\n"
                    )
                    assert re.match(rb"HTTP/1.1 (400|401|429) ", read_to_end(sock)), name
            said = (
                b"LHLO "
                + name
                + b"\r\nLHLO x\r\nMAIL FROM:<"
                + name
                + b">\r\nMAIL FROM:<> SMTPUTF8\r\n"
            )
            heard = say(node, "lmtp", said + b"RCPT TO:<" + name + b">\r\nQUIT\r\n", timeout_s=2)
            assert not re.search(rb"(?m)^250 2\.1\.5", heard)


def test_garbage_at_every_door(cluster: RealCluster, node: RealNode) -> None:
    chance = random.Random(5)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="x")
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    client_hello = outgoing.read()
    with unharmed(cluster, node, "garbage and TLS at plain doors"):
        for door in (*DOORS, "peer"):
            for data in (
                client_hello,
                b"\0" * 5000,
                b"\r\n" * 5000,
                b"{99999999999999999999}\r\n" * 50,
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + chance.randbytes(2000),
                *(chance.randbytes(chance.randrange(1, 5000)) for _ in range(30)),
            ):
                with dial(node, door, "127.0.0.5", timeout_s=0.05) as sock:
                    push(sock, data)
                    read_to_end(sock)


# --- the port between nodes


def test_garbage_between_nodes(tmp_path: Path) -> None:
    """Plain raft and gossip packets, wrong keys, strangers that hold every place: peers get in."""
    chance = random.Random(9)
    with running(tmp_path, 3) as own:
        node = own.node(own.leader() or "n1")
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with unharmed(own, node, "garbage between nodes"):
            for _ in range(3000):
                udp.sendto(chance.randbytes(chance.randrange(0, 1400)), node.address("peer"))
            udp.sendto(b"\xff" * 60_000, node.address("peer"))
            for data in (
                b"TRI1" + bytes(60),
                struct.pack(">I", 0xFFFFFFFF) + b"x" * MIB,
                struct.pack(">I", 46) + b"TRI1\x00\x01" + bytes(8) + b"\x01" * 32 + b"y" * 500,
                b"\x81\xa4vote\xff" * 1000,
            ):
                for _ in range(20):
                    with dial(node, "peer", timeout_s=0.05) as sock:
                        push(sock, data)
                        read_to_end(sock)
            other = next(one for one in own.nodes if one is not node)
            over = threading.Event()
            strangers = [
                threading.Thread(target=hold_places, args=(node, over), daemon=True)
                for _ in range(4)
            ]
            for thread in strangers:
                thread.start()
            own.kill(other.name)
            own.start(other.name)
            began = time.monotonic()
            own.wait_ready(other.name, timeout_s=30)
            print(f"a peer came back past strangers in {time.monotonic() - began:.1f} s")
            assert served_s(other) < 3
            over.set()
            for thread in strangers:
                thread.join()
        assert len([row for row in own.status() if row["up"]]) == 3


def hold_places(node: RealNode, over: threading.Event) -> None:
    """Keep fifty silent connections open at the peer port, each replaced when it is closed."""
    held: list[socket.socket] = []
    while not over.wait(0.05):
        while len(held) < 50:
            held.append(dial(node, "peer", "127.0.0.8"))
            held[-1].setblocking(False)
        for sock in list(held):
            try:
                gone = not sock.recv(4096)
            except BlockingIOError:
                gone = False
            except OSError:
                gone = True
            if gone:
                held.remove(sock)
                sock.close()
    for sock in held:
        sock.close()
