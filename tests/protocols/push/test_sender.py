"""Pushes as they go out of a house in memory: verified, sealed, in order, and none missed."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import trio
from trio.testing import MockClock

from protocols.jmap.capabilities import server_key
from protocols.jmap.values import render_utc_date
from protocols.push.post import Posted
from protocols.push.schedule import PAUSE_S, RETRY_S_MAX, Outcome
from protocols.push.sender import NEWS_PAUSE_S, OVER_LOOK_S, PushSender
from protocols.webpush.targets import Target
from storage import accounts
from storage.grants import plan_revoke
from storage.ids import Version
from storage.push_keys import plan_rotate, push_key
from storage.subscriptions import SUBSCRIPTIONS, get_watch
from tests.protocols.jmap.desk import message
from tests.protocols.jmap.test_push_subscription import WISH, PushDesk
from tests.protocols.webpush.client import PushClient
from tests.tokens import let_in

CLIENT = PushClient(b"\x07" * 32, b"a" * 16)
DAY_MS = 24 * 3600 * 1000


@dataclass
class Service:
    """A push service: what it was sent, and what it answers. Implements sender.Poster."""

    answers: Callable[[], Outcome] = lambda: Outcome.DELIVERED
    posts: list[tuple[Target, dict[str, str], bytes]] = field(default_factory=list)
    gate: trio.Event | None = None

    async def send(self, target: Target, headers: Sequence[tuple[str, str]], body: bytes) -> Posted:
        self.posts.append((target, dict(headers), body))
        await trio.lowlevel.checkpoint()
        if self.gate is not None:
            await self.gate.wait()
        return Posted(self.answers(), "as the test says")

    def plain(self) -> list[Any]:
        """The bodies of pushes that were not encrypted."""
        return [msgspec.json.decode(body) for *_, body in self.posts]


@asynccontextmanager
async def sending(desk: PushDesk, service: Service) -> AsyncIterator[PushSender]:
    """A node that leads, until the block ends."""
    house = desk.house
    sender = PushSender(
        house.ports, service, draw=house.chance.randbytes, contact="mailto:x@example.org"
    )
    sender.lead(True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.run)
        yield sender
        nursery.cancel_scope.cancel()


async def settle() -> None:
    """Let what is due now happen."""
    await trio.sleep(2 * NEWS_PAUSE_S)


async def verified(desk: PushDesk, **more: Any) -> str:
    """A subscription whose client has answered."""
    made = await desk.make(**more)
    await settle()
    await desk.put(update={made: {"verificationCode": desk.code(made)}})
    await settle()
    return made


async def test_a_verification_goes_first_and_nothing_before_it_is_answered(
    autojump_clock: MockClock,
) -> None:
    desk, service = PushDesk(), Service()
    async with sending(desk, service):
        made = await desk.make()
        await settle()
        assert service.plain() == [
            {
                "@type": "PushVerification",
                "pushSubscriptionId": made,
                "verificationCode": desk.code(made),
            }
        ]
        target, headers, _ = service.posts[0]
        assert target.host == "push.example" and target.path == "/?device=1"
        assert headers["Content-Type"] == "application/json" and int(headers["TTL"]) > 0
        assert headers["Authorization"].startswith("vapid t=")
        assert "Content-Encoding" not in headers and "Topic" not in headers
        desk.deliver()
        await trio.sleep(2 * RETRY_S_MAX)
        assert len(service.posts) == 1


async def test_changes_are_pushed_as_the_newest_state_of_each_type(
    autojump_clock: MockClock,
) -> None:
    desk, service = PushDesk(), Service()
    async with sending(desk, service):
        await verified(desk, types=["Email"])
        desk.deliver(message(number=1))
        desk.deliver(message(number=2))
        await trio.sleep(2 * PAUSE_S)
        state = (await desk.call("Email/get", ids=[]))["state"]
        assert service.plain()[1:] == [
            {"@type": "StateChange", "changed": {desk.account: {"Email": state}}}
        ]
        desk.deliver(message(number=3))
        await settle()
        desk.deliver(message(number=4))
        await settle()
        assert len(service.posts) == 3
        await trio.sleep(PAUSE_S)
        state = (await desk.call("Email/get", ids=[]))["state"]
        assert service.plain()[3]["changed"] == {desk.account: {"Email": state}}
        topics = {headers["Topic"] for _, headers, _ in service.posts[1:]}
        assert len(topics) == 1 and len(topics.pop()) == 32


async def test_with_keys_only_the_client_can_read_it(autojump_clock: MockClock) -> None:
    desk, service = PushDesk(), Service()
    async with sending(desk, service):
        made = await verified(desk, keys=CLIENT.keys)
        desk.deliver()
        await trio.sleep(2 * PAUSE_S)
    told = [msgspec.json.decode(CLIENT.decrypt(body)) for *_, body in service.posts]
    assert [each["@type"] for each in told] == ["PushVerification", "StateChange"]
    assert told[0]["verificationCode"] == desk.code(made)
    assert all(h["Content-Encoding"] == "aes128gcm" for _, h, _ in service.posts)
    assert service.posts[1][1]["Urgency"] == "high"
    bodies = [body for *_, body in service.posts]
    assert bodies[0][:86] != bodies[1][:86]  # another salt and key for each


async def test_a_successor_sends_what_was_not_delivered(autojump_clock: MockClock) -> None:
    desk, service = PushDesk(), Service()
    async with sending(desk, service):
        await verified(desk)
        service.gate = trio.Event()
        desk.deliver()
        await trio.sleep(2 * PAUSE_S)
        assert len(service.posts) == 2  # under way when the leader dies
    desk.deliver(message(number=2))
    successor, barriers = Service(), desk.house.reader.barriers
    async with sending(desk, successor):
        await settle()
        assert desk.house.reader.barriers == barriers + 1  # it knows all that was acknowledged
        (change,) = successor.plain()
        assert change["@type"] == "StateChange"
        assert "Email" in change["changed"][desk.account]
        await trio.sleep(10)
    third = Service()
    async with sending(desk, third):
        await trio.sleep(10)
        assert third.posts == []


async def test_a_successor_verifies_what_was_not_and_not_what_was(
    autojump_clock: MockClock,
) -> None:
    desk, service = PushDesk(), Service()
    await desk.make()
    async with sending(desk, service):
        await trio.sleep(1)
        assert len(service.posts) == 1
    async with sending(desk, service):
        await trio.sleep(1)
        assert len(service.posts) == 1


async def test_a_node_that_does_not_lead_sends_nothing(autojump_clock: MockClock) -> None:
    desk, service = PushDesk(), Service()
    async with sending(desk, service) as sender:
        sender.lead(False)
        await settle()
        await desk.make()
        await trio.sleep(10)
        assert service.posts == []
        sender.lead(True)
        await settle()
        assert len(service.posts) == 1


async def test_failures_end_in_delivery(autojump_clock: MockClock) -> None:
    outcomes = iter([Outcome.DELIVERED, Outcome.FAILED, Outcome.BUSY, Outcome.UNREACHED])
    desk, service = PushDesk(), Service(lambda: next(outcomes, Outcome.DELIVERED))
    async with sending(desk, service):
        await verified(desk, types=["Mailbox"])
        desk.deliver()
        await trio.sleep(300)
        assert len(service.posts) == 5
        assert len({body for *_, body in service.posts[1:]}) == 1
        watch = get_watch(desk.house.view(), desk.number, 1)
        assert watch is not None
        assert str(watch.told) == service.plain()[-1]["changed"][desk.account]["Mailbox"]


async def test_a_subscription_whose_url_is_gone_is_forgotten(autojump_clock: MockClock) -> None:
    outcomes = iter([Outcome.DELIVERED, Outcome.GONE])
    desk, service = PushDesk(), Service(lambda: next(outcomes))
    async with sending(desk, service):
        await verified(desk)
        desk.deliver()
        await trio.sleep(5)
        assert (await desk.shown())["list"] == []
        assert SUBSCRIPTIONS.list(desk.house.view(), desk.number) == []


async def test_a_new_password_or_the_end_of_its_time_ends_it(autojump_clock: MockClock) -> None:
    desk, service = PushDesk(), Service()
    async with sending(desk, service):
        await verified(desk)
        await verified(desk, expires=render_utc_date(desk.house.clock.now_ms() + DAY_MS))
        desk.house.clock.pass_s(2 * 24 * 3600)
        desk.deliver()
        await trio.sleep(PAUSE_S + OVER_LOOK_S)
        assert [n for n, _ in SUBSCRIPTIONS.list(desk.house.view(), desk.number)] == [1]
        sent = len(service.posts)
        await verified(desk)
        desk.house.run(lambda plan: accounts.plan_set_password(plan, desk.number, "new"))
        desk.deliver(message(number=2))
        await trio.sleep(5)
        assert len(service.posts) == sent + 1  # the second's verification
        assert SUBSCRIPTIONS.list(desk.house.view(), desk.number) == []


async def test_a_new_password_ends_what_nothing_is_pushed_to(autojump_clock: MockClock) -> None:
    desk, service = PushDesk(), Service()
    async with sending(desk, service):
        await desk.make()
        await settle()
        desk.house.run(lambda plan: accounts.plan_set_password(plan, desk.number, "new"))
        await trio.sleep(OVER_LOOK_S + 1)
        assert SUBSCRIPTIONS.list(desk.house.view(), desk.number) == []


async def test_a_grant_that_is_taken_back_ends_what_was_made_by_it(
    autojump_clock: MockClock,
) -> None:
    desk, service = PushDesk(), Service()
    issued = let_in(desk.house, desk.number)
    wish = {"create": {"a": WISH}}
    headers = {"authorization": f"Bearer {issued.access_token}"}
    async with sending(desk, service):
        await desk.make()
        await desk.ask("PushSubscription/set", wish, auth=None, headers=headers)
        await settle()
        desk.house.run(lambda plan: plan_revoke(plan, desk.number, issued.grant))
        await trio.sleep(OVER_LOOK_S + 1)
        assert [n for n, _ in SUBSCRIPTIONS.list(desk.house.view(), desk.number)] == [1]


async def test_a_cluster_that_cannot_answer_is_waited_for(autojump_clock: MockClock) -> None:
    desk, service = PushDesk(), Service()
    made = await desk.make()
    desk.house.unavailable = True
    async with sending(desk, service):
        await trio.sleep(10)
        assert service.posts == []
        desk.house.unavailable = False
        await trio.sleep(10)
        assert len(service.posts) == 1
        await desk.put(update={made: {"verificationCode": desk.code(made)}})
        await settle()
        desk.house.unavailable = True
        desk.deliver()
        await trio.sleep(10)
        assert len(service.posts) == 2  # what was told is written down when that is possible
        told = get_watch(desk.house.view(), desk.number, 1)
        desk.house.unavailable = False
        await trio.sleep(10)
        after = get_watch(desk.house.view(), desk.number, 1)
        assert told is not None and after is not None and after.told > told.told


async def test_another_nodes_state_is_read_anew(autojump_clock: MockClock) -> None:
    desk, service = PushDesk(), Service()
    async with sending(desk, service):
        await verified(desk)
        held = desk.house.news._of_all
        desk.house.news._of_all = []
        desk.deliver()  # unheard, as by a node that is given another's state
        await trio.sleep(5)
        assert len(service.posts) == 1
        desk.house.news._of_all = held
        desk.house.news.ring_all(lambda _: Version(0))
        await trio.sleep(5)
        assert len(service.posts) == 2


async def test_all_subscriptions_of_an_account_are_served(autojump_clock: MockClock) -> None:
    desk, service = PushDesk(), Service()
    async with sending(desk, service):
        for _ in range(5):
            await verified(desk)
        desk.deliver()
        await trio.sleep(5)
        kinds = [told["@type"] for told in service.plain()]
        assert kinds.count("StateChange") == 5 and kinds.count("PushVerification") == 5
        assert push_key(desk.house.view()) is not None


async def test_those_destroyed_while_under_way_stay_gone(autojump_clock: MockClock) -> None:
    gate = trio.Event()
    desk, service = PushDesk(), Service(gate=gate)
    async with sending(desk, service):
        made = [await desk.make() for _ in range(3)]
        await settle()
        await desk.put(destroy=made)
        await settle()
        gate.set()
        await trio.sleep(10)
        assert len(service.posts) == 3
        assert get_watch(desk.house.view(), desk.number, 1) is None


def signed_by(service: Service) -> list[str]:
    """The public key that each push was signed with."""
    return [headers["Authorization"].partition(", k=")[2] for _, headers, _ in service.posts]


async def test_a_rotated_key_signs_for_what_was_made_under_it(autojump_clock: MockClock) -> None:
    desk, service = PushDesk(), Service()
    async with sending(desk, service):
        await verified(desk)
        first = server_key(desk.house.view())
        desk.house.run(lambda plan: plan_rotate(plan, at_once=False))
        await verified(desk)
        second = server_key(desk.house.view())
        assert first != second and signed_by(service) == [first, second]
        desk.deliver()
        await trio.sleep(5)
        assert sorted(signed_by(service)[2:]) == sorted([str(first), str(second)])


async def test_what_an_ended_key_signed_for_is_forgotten(autojump_clock: MockClock) -> None:
    desk, service = PushDesk(), Service()
    async with sending(desk, service):
        await verified(desk)
        desk.house.run(lambda plan: plan_rotate(plan, at_once=True))
        kept = await verified(desk)
        posts = len(service.posts)
        desk.deliver()
        await trio.sleep(OVER_LOOK_S + 1)
        assert len(service.posts) == posts + 1
        held = [number for number, _ in SUBSCRIPTIONS.list(desk.house.view(), desk.number)]
        assert [f"p{number}" for number in held] == [kept]
