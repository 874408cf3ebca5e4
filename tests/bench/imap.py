"""LMTP's and IMAP's rows of `make bench`, of our nodes and of peers by the same clients.

Row after row is measured of one server after the other, so that a busy minute of the machine falls
on all of them. CPU is that of all processes of a server, for one of what the unit counts.
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from tests.bench.clients import Imap
from tests.bench.mail import message
from tests.bench.meters import measure, memory_mib
from tests.bench.servers import USERS, Server

Row = dict[str, Any]

FIRST_SIGHT: Final = "(FLAGS UID INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"
CONNECTIONS: Final = 8
SELECTS: Final = 20
# What one batch of ours holds is some 50 of these.
APPENDED: Final = 30
BODIES: Final = 500
STORES: Final = 3
NOTICES: Final = 20
# Who hears nothing for so long would have to ask; that is what the row says then.
NOTICE_S: Final = 10.0
# A peer may be so long about a command on all messages.
COMMAND_S: Final = 300.0
IDLERS: Final = 1000
# Each of Cyrus' idlers is a process of some MiB: so few are counted up to a thousand.
IDLERS_OF_CYRUS: Final = 100
# After a mass of deliveries LevelDB merges its tables behind us: that is not a reader's cost.
SETTLE_S: Final = 5.0
SINGLE, EIGHT, CROWD = (
    "LMTP ingest, 1 connection",
    "LMTP ingest, 8 connections, one mailbox",
    "LMTP ingest, 8 connections, a mailbox each",
)
FETCH_FIRST, FETCH_AGAIN = "IMAP FETCH of first sight", "IMAP FETCH of first sight, again"
BULK, BODY = "IMAP FETCH of all bodies", "IMAP UID FETCH of one body"
SELECT, SELECT_BIG = "IMAP SELECT of the inbox", "IMAP SELECT of a large mailbox"
SELECT_COLD = "IMAP SELECT of a large mailbox, first time"
COPY = "IMAP COPY of the inbox"
STORE = "IMAP STORE of a flag on all"
IDLE, NOTICE = "IMAP IDLE, a thousand connections", "LMTP delivery to the notice in IDLE"


def delivering(servers: Sequence[Server], messages: int) -> list[Row]:
    """Ingest, until every server's Alice has so many messages."""
    part = max(1, messages // 10)
    rows = [ingest(server, 0, part) for server in servers]
    rows += [ingest(server, part, 2 * part, connections=CONNECTIONS) for server in servers]
    rows += [ingest(server, 0, part, connections=CONNECTIONS, crowd=True) for server in servers]
    for server in servers:
        stock(server, 3 * part, messages - 3 * part)
    time.sleep(SETTLE_S)
    return rows


def reading(servers: Sequence[Server], messages: int) -> list[Row]:
    """What a client does with an inbox of so many messages."""
    rows = [first_sight(server, messages, FETCH_FIRST, 1) for server in servers]
    rows += [first_sight(server, messages, FETCH_AGAIN, 3) for server in servers]
    rows += [all_bodies(server) for server in servers]
    rows += [one_body(server, messages) for server in servers]
    rows += [selects(server, "INBOX", SELECT) for server in servers]
    rows += [flag_all(server) for server in servers]
    rows += [notices(server) for server in servers]
    return rows


def crowding(servers: Sequence[Server], messages: int, big: int) -> list[Row]:
    """A mailbox of so many, copied from the inbox, and a thousand clients in IDLE."""
    rows = [copies(server, messages, big) for server in servers]
    rows += [first_select(server, "Big") for server in servers]
    rows += [selects(server, "Big", SELECT_BIG) for server in servers]
    return rows + [idlers(server) for server in servers]


def ingest(
    server: Server, first: int, count: int, *, connections: int = 1, crowd: bool = False
) -> Row:
    """LMTP deliveries: into one mailbox, or a mailbox for a connection."""
    lines = [server.lmtp(number) for number in range(connections)]
    mails = [message(first + number) for number in range(count)]
    to = [server.recipient(1 + n % (USERS - 1) if crowd else 0) for n in range(connections)]

    def deliver(connection: int, number: int) -> None:
        reply = lines[connection].deliver(mails[number], to[connection])
        assert reply.startswith(b"250"), reply

    rate = measure(server.pids(), connections, count, deliver)
    for line in lines:
        line.close()
    what = SINGLE if connections == 1 else CROWD if crowd else EIGHT
    return row(server, what, rate.per_s, "messages/s", rate.cpu_ms)


def stock(server: Server, first: int, count: int) -> None:
    """So many more in the inbox, by MULTIAPPEND, which is one commit for many (RFC 3502): Cyrus
    takes ten a second by LMTP into one mailbox."""
    client = server.imap()
    for start in range(first, first + count, APPENDED):
        client.append([message(n) for n in range(start, min(start + APPENDED, first + count))])
    client.close()


def row(server: Server, what: str, rate: float, unit: str, cpu_ms: float | None) -> Row:
    """One cell of the table, before it is one, and a line for whoever waits for that."""
    cpu = "" if cpu_ms is None else f", {cpu_ms:.3f} ms of CPU for one"
    print(f"{server.name}: {what}: {rate:,.2f} {unit}{cpu}", flush=True)
    return {"what": what, "rate": rate, "unit": unit, "cpu_ms": cpu_ms, "who": server.name}


def first_sight(server: Server, messages: int, what: str, times: int) -> Row:
    """What a client asks for when it sees a mailbox for the first time."""
    client = opened(server)
    rate = measure(
        server.pids(), 1, times, lambda _, __: _done(client.command(f"FETCH 1:* {FIRST_SIGHT}"))
    )
    client.close()
    return row(server, what, messages * rate.per_s, "messages/s", rate.cpu_ms / messages)


def all_bodies(server: Server, *, times: int = 2) -> Row:
    """The whole inbox downloaded."""
    client, received = opened(server), []
    rate = measure(
        server.pids(),
        1,
        times,
        lambda _, __: received.append(client.command("FETCH 1:* (UID BODY.PEEK[])")),
    )
    client.close()
    octets = sum(received)
    return row(server, BULK, octets / 1e6 / rate.seconds, "MB/s", 1e9 * rate.cpu_seconds / octets)


def one_body(server: Server, messages: int) -> Row:
    """One body after the other, here and there."""
    client = opened(server)
    rate = measure(
        server.pids(),
        1,
        BODIES,
        lambda _, n: _done(client.command(f"UID FETCH {1 + 37 * n % messages} (BODY.PEEK[])")),
    )
    client.close()
    return row(server, BODY, rate.per_s, "fetches/s", rate.cpu_ms)


def selects(server: Server, mailbox: str, what: str) -> Row:
    """SELECT by a client that had left the mailbox."""
    client, took = opened(server, mailbox), []

    def again(_: int, __: int) -> None:
        client.command("UNSELECT")
        took.append(timed(lambda: client.command(f"SELECT {mailbox}")))

    rate = measure(server.pids(), 1, SELECTS, again)
    client.close()
    return row(server, what, 1000 * statistics.median(took), "ms", rate.cpu_ms)


def first_select(server: Server, mailbox: str) -> Row:
    """SELECT of a mailbox that nobody has looked into since it was filled."""
    client, took = opened(server), []
    rate = measure(
        server.pids(),
        1,
        1,
        lambda _, __: took.append(timed(lambda: client.command(f"SELECT {mailbox}"))),
    )
    client.close()
    return row(server, SELECT_COLD, 1000 * took[0], "ms", rate.cpu_ms)


def flag_all(server: Server) -> Row:
    """A flag set on every message, and taken away, and set."""
    client, took = opened(server), []

    def store(_: int, number: int) -> None:
        sign = "+-"[number % 2]
        took.append(timed(lambda: client.command(rf"STORE 1:* {sign}FLAGS (\Flagged)")))

    rate = measure(server.pids(), 1, STORES, store)
    client.close()
    return row(server, STORE, statistics.median(took), "s", rate.cpu_ms)


def copies(server: Server, messages: int, big: int) -> Row:
    """The inbox copied into another mailbox, again and again until that is large."""
    client = opened(server)
    client.command("CREATE Big")
    times, rest = divmod(big, messages)
    rate = measure(server.pids(), 1, times, lambda _, __: _done(client.command("COPY 1:* Big")))
    if rest:
        client.command(f"COPY 1:{rest} Big")
    client.close()
    time.sleep(SETTLE_S)
    return row(server, COPY, messages * rate.per_s, "messages/s", rate.cpu_ms / messages)


def notices(server: Server) -> Row:
    """From the last octet of a delivery to EXISTS at a client in IDLE; of more nodes than one,
    at another."""
    client, line = opened(server), server.lmtp(1)
    client.socket.settimeout(NOTICE_S)
    idle(client)
    took: list[float] = []

    def told() -> float:
        try:
            while not client.line().endswith(b" EXISTS\r\n"):
                pass
        except TimeoutError:
            return math.inf
        return time.perf_counter()

    with ThreadPoolExecutor(1) as pool:

        def deliver(_: int, number: int) -> None:
            if math.inf in took:
                return  # once is enough to know
            seen = pool.submit(told)
            sent = time.perf_counter()
            assert line.deliver(message(number, seed=2), server.recipient(0)).startswith(b"250")
            took.append(seen.result() - sent)

        rate = measure(server.pids(), 1, NOTICES, deliver)
    client.close()
    line.close()
    median_s = NOTICE_S if math.inf in took else statistics.median(took)
    return row(server, NOTICE, 1000 * median_s, "ms", rate.cpu_ms)


def idlers(server: Server) -> Row:
    """What a thousand clients in IDLE add to a server's memory."""
    count = IDLERS_OF_CYRUS if server.name == "Cyrus" else IDLERS
    before = memory_mib(server.pids())
    clients: list[Imap] = []
    for _ in range(count):
        client = opened(server)
        idle(client)
        clients.append(client)
    after = memory_mib(server.pids())
    for client in clients:
        client.close()
    return row(server, IDLE, (after - before) * 1000 / count, "MiB", None)


def opened(server: Server, mailbox: str = "INBOX") -> Imap:
    """A client of Alice's that has selected this."""
    client = server.imap()
    client.socket.settimeout(COMMAND_S)
    client.command(f"SELECT {mailbox}")
    return client


def idle(client: Imap) -> None:
    """Let it wait for news, past those there are."""
    client.socket.sendall(b"i IDLE\r\n")
    while not client.line().startswith(b"+"):
        pass


def timed(work: Callable[[], object]) -> float:
    """How many seconds it took."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _done(value: object) -> None:
    """A measured operation gives nothing back."""
