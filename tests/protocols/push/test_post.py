"""One POST over a network of the test: where it may go, and what its answer means."""

import ssl
from collections.abc import Sequence

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from protocols.push.post import ADDRESSES_MAX, POST_S, Post, Posted, judge
from protocols.push.schedule import Outcome
from protocols.webpush.targets import read_target

TARGET = read_target("https://push.example/x")
assert TARGET is not None


class Net:
    """Names, and what answers at each address. Implements post.Dial."""

    def __init__(self, names: dict[str, list[str]], answers: dict[str, bytes | None]) -> None:
        self.names = names
        self.answers = answers
        self.dialed: list[tuple[str, int, str]] = []
        self.heard = b""

    async def resolve(self, host: str) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        if host not in self.names:
            raise OSError("no such name")
        return self.names[host]

    async def dial_tcp(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None, tls_name: str = ""
    ) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        assert tls is not None
        self.dialed.append((host, port, tls_name))
        if host not in self.answers:
            raise ConnectionRefusedError
        ours, theirs = trio.testing.memory_stream_pair()
        answer = self.answers[host]
        if answer is not None:
            await theirs.send_all(answer)
            await theirs.send_eof()
        self.theirs = theirs
        return ours


def post(net: Net, *, allow_private: bool = False) -> Post:
    return Post(net, ssl.create_default_context, allow_private=allow_private)


async def sent(net: Net, *, allow_private: bool = False) -> Posted:
    assert TARGET is not None
    return await post(net, allow_private=allow_private).send(TARGET, [("TTL", "1")], b"body")


async def test_a_push_goes_to_the_address_that_was_looked_at_under_the_name() -> None:
    net = Net({"push.example": ["8.8.8.8"]}, {"8.8.8.8": b"HTTP/1.1 201 Created\r\n\r\n"})
    assert (await sent(net)).outcome is Outcome.DELIVERED
    assert net.dialed == [("8.8.8.8", 443, "push.example")]
    told = bytes(await net.theirs.receive_some(65536))
    assert told.startswith(b"POST /x HTTP/1.1\r\nHost: push.example\r\n") and b"body" in told


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fe80::1", "::ffff:10.0.0.1"]
)
async def test_names_that_mean_addresses_of_ours_are_refused_unless_allowed(address: str) -> None:
    answers: dict[str, bytes | None] = {address: b"HTTP/1.1 200 OK\r\n\r\n"}
    net = Net({"push.example": [address]}, answers)
    told = await sent(net)
    assert told.outcome is Outcome.UNREACHED and "no public address" in told.detail
    assert net.dialed == []
    assert (await sent(net, allow_private=True)).outcome is Outcome.DELIVERED


async def test_only_public_ones_of_several_addresses_are_dialed_and_not_all() -> None:
    addresses = ["10.0.0.1", "8.8.8.8", "8.8.8.8", "1.1.1.1", "9.9.9.9", "8.8.4.4"]
    net = Net({"push.example": addresses}, {})
    assert (await sent(net)).outcome is Outcome.UNREACHED
    assert [host for host, *_ in net.dialed] == ["8.8.8.8", "1.1.1.1", "9.9.9.9"][:ADDRESSES_MAX]
    net = Net({"push.example": addresses}, {"1.1.1.1": b"HTTP/1.1 204 x\r\n\r\n"})
    assert (await sent(net)).outcome is Outcome.DELIVERED


async def test_what_is_not_there() -> None:
    assert (await sent(Net({}, {}))).outcome is Outcome.UNREACHED


async def test_a_service_that_never_answers_is_given_up(autojump_clock: MockClock) -> None:
    net = Net({"push.example": ["8.8.8.8"]}, {"8.8.8.8": None})
    began = trio.current_time()
    assert (await sent(net)).outcome is Outcome.FAILED
    assert trio.current_time() - began == pytest.approx(POST_S)


async def test_a_service_that_hangs_up_or_talks_nonsense_has_failed() -> None:
    for answer in (b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200"):
        net = Net({"push.example": ["8.8.8.8"]}, {"8.8.8.8": answer})
        assert (await sent(net)).outcome is Outcome.FAILED


async def test_redirects_are_not_followed() -> None:
    moved = b"HTTP/1.1 307 Moved\r\nLocation: https://127.0.0.1/\r\n\r\n"
    net = Net({"push.example": ["8.8.8.8"]}, {"8.8.8.8": moved})
    assert (await sent(net)).outcome is Outcome.FAILED
    assert len(net.dialed) == 1


def test_what_each_status_means() -> None:
    for statuses, outcome in (
        ((200, 201, 202, 204, 299), Outcome.DELIVERED),
        ((404, 410), Outcome.GONE),
        ((429,), Outcome.BUSY),
        ((301, 400, 401, 403, 413, 500, 503), Outcome.FAILED),
    ):
        for status in statuses:
            assert judge(status, 7).outcome is outcome, status
    assert judge(429, 7).retry_after_s == judge(503, 7).retry_after_s == 7
