"""RFC 8620 7.3 told as stories: who listens hears, who was away is told, who left is forgotten."""

import socket
import struct

import pytest
import trio
from trio.testing import MockClock

from protocols.http.event_source import COMMENT_S, PING_S_MAX, TYPES_MAX
from storage import accounts
from tests.protocols.http.doors import open_door, read_until
from tests.protocols.http.listening import basic, listen
from tests.protocols.jmap.desk import BOB, Desk, message


async def test_who_listens_hears_of_a_change_and_its_token() -> None:
    desk = Desk()
    async with listen(desk) as heard:
        assert heard.status == 200
        assert heard.headers[b"content-type"] == b"text/event-stream"
        assert b"content-length" not in heard.headers
        desk.deliver()
        (first, event) = await heard.wait_events(2)
        assert set(first) == {"id"} and event["event"] == "state"
        assert event["id"] != first["id"]
        state = (await desk.call("Email/get", ids=[]))["state"]
        (change,) = heard.changes()
        assert change["@type"] == "StateChange"
        types = change["changed"][desk.account]
        assert types["Email"] == types["Mailbox"] == types["EmailDelivery"] == state


async def test_only_the_types_asked_for_are_told() -> None:
    desk = Desk()
    async with listen(desk, "types=Mailbox,Nonsense&closeafter=no&ping=0") as heard:
        desk.deliver()
        await heard.wait_events(2)
        assert list(heard.changes()[0]["changed"][desk.account]) == ["Mailbox"]
    async with listen(desk, "types=Identity&closeafter=no&ping=0") as heard:
        desk.deliver(message(number=2))
        await trio.testing.wait_all_tasks_blocked()
        assert len(heard.events) == 1


async def test_nobody_hears_of_others(autojump_clock: MockClock) -> None:
    desk = Desk()
    async with listen(desk, headers={b"authorization": basic(BOB, "other")}) as heard:
        desk.deliver()
        await trio.sleep(10)
        assert len(heard.events) == 1


async def test_who_was_away_is_told_what_changed_meanwhile() -> None:
    desk = Desk()
    async with listen(desk) as heard:
        last = heard.events[-1]["id"]
    desk.deliver()
    async with listen(desk, headers={b"last-event-id": last.encode()}) as heard:
        await heard.wait_events(2)
        (change,) = heard.changes()
        assert set(change["changed"][desk.account]) >= {"Email", "Mailbox", "Thread"}
        last = heard.events[-1]["id"]
    async with listen(desk, headers={b"last-event-id": last.encode()}) as heard:
        await trio.testing.wait_all_tasks_blocked()
        assert heard.changes() == []


async def test_a_token_that_is_none_of_ours_brings_all_states() -> None:
    desk = Desk()
    async with listen(desk, headers={b"last-event-id": b"yesterday"}) as heard:
        await heard.wait_events(2)
        assert "Quota" in heard.changes()[0]["changed"][desk.account]


async def test_closeafter_state_ends_the_answer_after_one_event() -> None:
    desk = Desk()
    async with listen(desk, "types=*&closeafter=state&ping=0") as heard:
        assert not heard.ended
        desk.deliver()
        await heard.wait_end()
        assert len(heard.changes()) == 1


async def test_pings_come_after_each_interval_without_an_event(autojump_clock: MockClock) -> None:
    desk = Desk()
    async with listen(desk, "types=*&closeafter=no&ping=30") as heard:
        began = trio.current_time()
        await trio.sleep(20)
        desk.deliver()
        events = await heard.wait_events(3)
        assert events[-1] == {"event": "ping", "data": '{"interval":30}'}
        assert trio.current_time() == pytest.approx(began + 50)
        await heard.wait_events(4)
        assert trio.current_time() == pytest.approx(began + 80)


async def test_pings_are_kept_within_bounds_and_say_so(autojump_clock: MockClock) -> None:
    async with listen(Desk(), "types=*&closeafter=no&ping=999999") as heard:
        events = await heard.wait_events(2)
        assert events[-1]["data"] == f'{{"interval":{PING_S_MAX}}}'


async def test_without_pings_there_are_comments_alone(autojump_clock: MockClock) -> None:
    async with listen(Desk()) as heard:
        began = trio.current_time()
        events = await heard.wait_events(2)
        assert events[-1] == {} and heard.octets.endswith(b"\n\n:\n\n")
        assert trio.current_time() == pytest.approx(began + COMMENT_S)


async def test_many_changes_become_few_events_of_the_newest_state(
    autojump_clock: MockClock,
) -> None:
    desk = Desk()
    async with listen(desk) as heard:
        for number in range(50):
            desk.deliver(message(number=number))
            await trio.sleep(0.001)
        await trio.sleep(1)
        state = (await desk.call("Email/get", ids=[]))["state"]
        told = heard.changes()
        assert 1 < len(told) <= 5
        assert told[-1]["changed"][desk.account]["Email"] == state


async def test_a_change_right_after_another_is_told_within_a_fifth_of_the_time_there_is(
    autojump_clock: MockClock,
) -> None:
    desk = Desk()
    async with listen(desk) as heard:
        await heard.wait_events(1)
        desk.deliver()
        await heard.wait_events(2)
        began = trio.current_time()
        desk.deliver(message(number=2))
        await heard.wait_events(3)
        assert trio.current_time() - began <= 0.1 / 5


async def test_malformed_requests_are_refused() -> None:
    desk = Desk()
    for query in (
        "",
        "types=*&closeafter=no",
        "types=*&closeafter=never&ping=0",
        "types=&closeafter=no&ping=0",
        "types=*&closeafter=no&ping=-1",
        "types=*&closeafter=no&ping=1.5",
        "types=*&closeafter=no&ping=" + "9" * 5000,
        "closeafter=no&ping=0",
        "types=" + "a," * TYPES_MAX + "&closeafter=no&ping=0",
    ):
        answer = await desk.http("GET", "/jmap/eventsource/?" + query)
        assert answer.status == 400, query
    assert (await desk.http("GET", "/jmap/eventsource/", auth=None)).status == 401
    assert (await desk.http("POST", "/jmap/eventsource/")).status == 405
    desk.house.unavailable = True
    assert (await desk.http("GET", "/jmap/eventsource/")).status == 503


async def test_streams_are_bounded_by_account_and_by_node() -> None:
    target = "/jmap/eventsource/?types=*&closeafter=no&ping=0"
    desk = Desk(followers_max=1)
    async with listen(desk):
        refused = await desk.http("GET", target)
        assert refused.status == 429 and "retry-after" in refused.headers
        bob = await desk.http("HEAD", target, auth=(BOB, "other"))
        assert bob.status == 200 and bob.body == b""
    async with listen(desk):
        pass
    full = Desk(followers_of_node_max=1)
    async with listen(full):
        assert (await full.http("GET", target, auth=(BOB, "other"))).status == 429


async def test_a_new_password_ends_streams_of_the_old_one() -> None:
    desk = Desk()
    async with listen(desk) as heard:
        desk.house.run(lambda plan: accounts.plan_set_password(plan, desk.number, "new"))
        desk.deliver()
        await heard.wait_end()
        assert heard.changes() == []


async def test_a_stopping_node_ends_its_streams_at_once() -> None:
    desk = Desk()
    async with listen(desk) as heard:
        await trio.testing.wait_all_tasks_blocked()
        desk.app.stop()
        await heard.wait_end()
    async with listen(desk) as late:
        await late.wait_end()


async def test_a_client_that_breaks_off_is_no_bug_and_leaves_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk(followers_max=1)
    async with listen(desk) as heard:
        heard.broken = True
        desk.deliver()
        await trio.testing.wait_all_tasks_blocked()
    assert desk.house.news.watched == 0
    async with listen(desk):
        assert desk.house.news.watched == 1
    assert caplog.records == []


async def test_over_a_socket_pieces_come_as_they_happen() -> None:
    desk = Desk()
    ask = (
        b"GET /jmap/eventsource/?types=*&closeafter=state&ping=0 HTTP/1.1\r\nHost: x\r\n"
        b"Authorization: %b\r\n\r\n" % basic()
    )
    async with open_door(desk.app) as door, await door.dial() as stream:
        for number in range(2):
            await stream.send_all(ask)
            head = await read_until(stream, b"\n\n\r\n")
            assert b"transfer-encoding: chunked" in head and b"\r\nid: " in head
            desk.deliver(message(number=number))
            assert b"event: state" in await read_until(stream, b"\r\n0\r\n\r\n")
        await stream.send_all(ask)
        await read_until(stream, b"\n\n\r\n")
        await stream.aclose()
        with trio.fail_after(5):
            while desk.house.news.watched:
                await trio.sleep(0.01)


async def test_a_client_that_resets_its_connection_is_no_bug(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk()
    ask = (
        b"GET /jmap/eventsource/?types=*&closeafter=no&ping=0 HTTP/1.1\r\nHost: x\r\n"
        b"Authorization: %b\r\n\r\n" % basic()
    )
    async with open_door(desk.app) as door, await door.dial() as stream:
        await stream.send_all(ask)
        await read_until(stream, b"\n\n\r\n")
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await stream.aclose()
        with trio.fail_after(5):
            while desk.house.news.watched:
                await trio.sleep(0.01)
    assert caplog.records == []
