"""PushSubscription/get and /set: what may be asked for, what is told, and what never is."""

from typing import Any

import pytest

from protocols.jmap.capabilities import CORE, VAPID
from protocols.jmap.methods.push_subscription import (
    DEVICE_OCTETS_MAX,
    EXPIRES_MS_MAX,
    TYPES_MAX,
)
from protocols.jmap.values import render_utc_date
from storage import accounts
from storage.grants import plan_refresh
from storage.push_keys import OLD_KEY_MS, plan_push_key, plan_rotate
from storage.subscriptions import SUBSCRIPTIONS, SUBSCRIPTIONS_MAX, get_watch
from tests.protocols.jmap.desk import BOB, Desk
from tests.protocols.webpush.client import PushClient
from tests.tokens import TERMS, let_in

WISH = {"deviceClientId": "a889-ffea-910", "url": "https://push.example/?device=1", "types": None}
DAY_MS = 24 * 3600 * 1000


class PushDesk(Desk):
    """A desk with the two calls of subscriptions."""

    async def ask(self, name: str, arguments: dict[str, Any], **more: Any) -> tuple[str, Any]:
        calls = {"using": [CORE], "methodCalls": [[name, arguments, "c"]]}
        ((told, result, _),) = (await self.post(calls, **more)).json["methodResponses"]
        return told, result

    async def put(self, **arguments: Any) -> Any:
        """The result of a /set."""
        told, result = await self.ask("PushSubscription/set", arguments)
        assert told == "PushSubscription/set", result
        return result

    async def make(self, **more: Any) -> str:
        """A new subscription's id."""
        result = await self.put(create={"a": {**WISH, **more}})
        assert result["created"] is not None, result
        made: str = result["created"]["a"]["id"]
        return made

    async def refused(self, wish: dict[str, Any]) -> dict[str, Any]:
        """The SetError of a create."""
        error: dict[str, Any] = (await self.put(create={"a": wish}))["notCreated"]["a"]
        return error

    async def shown(self, **arguments: Any) -> Any:
        """The result of a /get."""
        told, result = await self.ask("PushSubscription/get", arguments)
        assert told == "PushSubscription/get", result
        return result

    def code(self, made: str) -> str:
        """The code that is pushed."""
        held = SUBSCRIPTIONS.get(self.house.view(), self.number, int(made[1:]))
        assert held is not None
        return held.code

    def later(self, milliseconds: int) -> str:
        """A moment as a UTCDate."""
        return render_utc_date(self.house.clock.now_ms() + milliseconds)


async def test_one_is_made_with_what_was_left_out_and_shown_without_secrets() -> None:
    desk = PushDesk()
    result = await desk.put(create={"a": WISH})
    assert not {"accountId", "oldState", "newState"} & result.keys()
    made = result["created"]["a"]
    assert made == {
        "id": "p1",
        "keys": None,
        "verificationCode": None,
        "expires": desk.later(EXPIRES_MS_MAX),
    }
    assert await desk.shown(ids=None) == {
        "list": [
            {
                "id": "p1",
                "deviceClientId": WISH["deviceClientId"],
                "verificationCode": None,
                "expires": desk.later(EXPIRES_MS_MAX),
                "types": None,
            }
        ],
        "notFound": [],
    }
    few = await desk.shown(ids=["p1", "p2", "x"], properties=["types"])
    assert few == {"list": [{"id": "p1", "types": None}], "notFound": ["p2", "x"]}


async def test_private_properties_are_forbidden_to_ask_for() -> None:
    desk = PushDesk()
    for name in ("url", "keys"):
        told, result = await desk.ask("PushSubscription/get", {"properties": ["id", name]})
        assert (told, result["type"]) == ("error", "forbidden")
    told, result = await desk.ask("PushSubscription/get", {"accountId": desk.account})
    assert (told, result["type"]) == ("error", "invalidArguments")
    told, result = await desk.ask("PushSubscription/set", {"ifInState": "1"})
    assert (told, result["type"]) == ("error", "invalidArguments")


async def test_the_right_code_verifies_and_a_wrong_one_does_not() -> None:
    desk = PushDesk()
    made = await desk.make()
    for wrong in ("", "x", desk.code(made)[:-1], None, 7, ["a"]):
        error = (await desk.put(update={made: {"verificationCode": wrong}}))["notUpdated"]
        if wrong is not None:
            assert error[made]["type"] == "invalidProperties"
            assert error[made]["properties"] == ["verificationCode"]
    assert (await desk.shown())["list"][0]["verificationCode"] is None
    right = desk.code(made)
    assert len(right) == 32
    assert (await desk.put(update={made: {"verificationCode": right}}))["updated"] == {made: None}
    assert (await desk.shown())["list"][0]["verificationCode"] == right
    again = await desk.put(update={made: {"verificationCode": right}})
    assert again["updated"] == {made: None}
    watch = get_watch(desk.house.view(), desk.number, 1)
    assert watch is not None and watch.asked


async def test_how_long_it_lives_is_bounded_and_extended_without_verifying_again() -> None:
    desk = PushDesk()
    made = await desk.make(expires=desk.later(DAY_MS))
    assert (await desk.shown())["list"][0]["expires"] == desk.later(DAY_MS)
    desk.house.clock.pass_s(3600)
    longer = await desk.put(update={made: {"expires": desk.later(100 * DAY_MS)}})
    assert longer["updated"][made] == {"expires": desk.later(EXPIRES_MS_MAX)}
    exact = desk.later(2 * DAY_MS)
    assert (await desk.put(update={made: {"expires": exact}}))["updated"] == {made: None}
    for wrong in (desk.later(0), desk.later(-1000), "tomorrow", 7):
        assert (await desk.refused({**WISH, "expires": wrong}))["properties"] == ["expires"]
    assert 2 * DAY_MS <= EXPIRES_MS_MAX


async def test_an_expired_one_is_not_there() -> None:
    desk = PushDesk()
    made = await desk.make(expires=desk.later(DAY_MS))
    desk.house.clock.pass_s(DAY_MS / 1000)
    assert (await desk.shown())["list"] == []
    assert (await desk.shown(ids=[made]))["notFound"] == [made]
    later = await desk.put(update={made: {"expires": desk.later(DAY_MS)}}, destroy=["p9"])
    assert later["notUpdated"][made]["type"] == "notFound"
    assert later["notDestroyed"]["p9"]["type"] == "notFound"


async def test_it_is_only_there_for_the_credentials_that_made_it() -> None:
    desk = PushDesk()
    made = await desk.make()
    bob = ("PushSubscription/get", {"ids": None})
    assert (await desk.ask(*bob, auth=(BOB, "other")))[1]["list"] == []
    desk.house.run(lambda plan: accounts.plan_set_password(plan, desk.number, "new"))
    assert (await desk.shown())["list"] == []
    gone = await desk.put(destroy=[made])
    assert gone["notDestroyed"][made]["type"] == "notFound"


async def test_what_a_token_made_is_its_grants_alone() -> None:
    desk = PushDesk()
    first, second = (let_in(desk.house, desk.number) for _ in range(2))
    renewed = desk.house.run(
        lambda plan: plan_refresh(plan, first.refresh_token, client="c", scopes=(), terms=TERMS)
    )
    assert renewed is not None

    async def ask(token: str, name: str, **arguments: Any) -> Any:
        headers = {"authorization": f"Bearer {token}"}
        return (await desk.ask(name, arguments, auth=None, headers=headers))[1]

    by_password = await desk.make()
    made = await ask(first.access_token, "PushSubscription/set", create={"a": WISH})
    by_token = made["created"]["a"]["id"]
    assert [each["id"] for each in (await desk.shown())["list"]] == [by_password]
    seen = await ask(renewed.access_token, "PushSubscription/get")
    assert [each["id"] for each in seen["list"]] == [by_token]
    assert (await ask(second.access_token, "PushSubscription/get"))["list"] == []
    gone = await ask(second.access_token, "PushSubscription/set", destroy=[by_token])
    assert gone["notDestroyed"][by_token]["type"] == "notFound"
    denied = {by_password: {"types": ["Email"]}}
    kept = await ask(first.access_token, "PushSubscription/set", update=denied)
    assert kept["notUpdated"][by_password]["type"] == "notFound"


async def test_what_it_was_made_with_stays() -> None:
    desk = PushDesk()
    made = await desk.make()
    for patch in (
        {"url": "https://other.example/"},
        {"keys": None},
        {"deviceClientId": "other"},
        {"id": "p2"},
        {"nonsense": 1},
    ):
        error = (await desk.put(update={made: patch}))["notUpdated"][made]
        assert error["type"] == "invalidProperties" and error["properties"] == list(patch)
    for deep in ("keys/auth", "types/0", "nonsense/x"):
        error = (await desk.put(update={made: {deep: "x"}}))["notUpdated"][made]
        assert error["type"] == "invalidPatch"
    same = {"deviceClientId": WISH["deviceClientId"], "id": made, "types": ["Email", "Email"]}
    assert (await desk.put(update={made: same}))["updated"] == {made: None}
    assert (await desk.shown())["list"][0]["types"] == ["Email"]


KEYS = PushClient(b"\x07" * 32, b"a" * 16).keys


@pytest.mark.parametrize(
    ("wish", "property_"),
    [
        ({**WISH, "deviceClientId": None}, "deviceClientId"),
        ({**WISH, "deviceClientId": ""}, "deviceClientId"),
        ({**WISH, "deviceClientId": "é" * DEVICE_OCTETS_MAX}, "deviceClientId"),
        ({**WISH, "url": "http://push.example/"}, "url"),
        ({**WISH, "url": 7}, "url"),
        ({"deviceClientId": "x"}, "url"),
        ({**WISH, "verificationCode": "x"}, "verificationCode"),
        ({**WISH, "id": "p1"}, "id"),
        ({**WISH, "types": "Email"}, "types"),
        ({**WISH, "types": [7]}, "types"),
        ({**WISH, "types": ["x"] * (TYPES_MAX + 1)}, "types"),
        ({**WISH, "keys": {}}, "keys"),
        ({**WISH, "keys": "x"}, "keys"),
        ({**WISH, "keys": {**KEYS, "more": "x"}}, "keys"),
        ({**WISH, "keys": {**KEYS, "p256dh": KEYS["p256dh"][:-4]}}, "keys"),
        ({**WISH, "keys": {**KEYS, "p256dh": "B" * 87}}, "keys"),
        ({**WISH, "keys": {**KEYS, "auth": "!!"}}, "keys"),
        ({**WISH, "keys": {**KEYS, "auth": "AAAA"}}, "keys"),
        ({**WISH, "keys": {**KEYS, "auth": None}}, "keys"),
    ],
)
async def test_wishes_that_are_refused(wish: dict[str, Any], property_: str) -> None:
    error = await PushDesk().refused(wish)
    assert error["type"] == "invalidProperties" and error["properties"] == [property_]


async def test_keys_are_taken_with_padding_and_without() -> None:
    desk = PushDesk()
    await desk.make(keys=KEYS)
    await desk.make(keys={name: value + "=" * (-len(value) % 4) for name, value in KEYS.items()})
    held = [record.push_keys for _, record in SUBSCRIPTIONS.list(desk.house.view(), desk.number)]
    assert held[0] == held[1] is not None


async def test_there_are_only_so_many() -> None:
    desk = PushDesk()
    wishes = {f"c{number}": WISH for number in range(SUBSCRIPTIONS_MAX + 1)}
    result = await desk.put(create=wishes)
    assert len(result["created"]) == SUBSCRIPTIONS_MAX
    assert result["notCreated"][f"c{SUBSCRIPTIONS_MAX}"]["type"] == "overQuota"
    assert (await desk.put(destroy=["p1"]))["destroyed"] == ["p1"]
    await desk.make()
    told, result = await desk.ask("PushSubscription/set", {"destroy": ["p9"] * 501})
    assert (told, result["type"]) == ("error", "requestTooLarge")
    told, result = await desk.ask("PushSubscription/get", {"ids": ["p9"] * 1001})
    assert (told, result["type"]) == ("error", "requestTooLarge")


async def test_another_signing_key_is_another_session() -> None:
    """RFC 9749 5: the client hears of it by the sessionState of whatever it calls."""
    desk = PushDesk()
    desk.house.run(plan_push_key)
    echo = {"using": [CORE], "methodCalls": [["Core/echo", {}, "c"]]}
    before = (await desk.post(echo)).json["sessionState"]
    told = (await desk.http("GET", "/.well-known/jmap")).json
    assert told["state"] == before
    desk.house.run(lambda plan: plan_rotate(plan, at_once=False))
    after = (await desk.post(echo)).json["sessionState"]
    now = (await desk.http("GET", "/.well-known/jmap")).json
    assert now["state"] == after != before
    assert now["capabilities"][VAPID] != told["capabilities"][VAPID]


async def test_a_subscription_is_not_kept_beyond_its_key() -> None:
    desk = PushDesk()
    made = await desk.make()
    desk.house.run(lambda plan: plan_rotate(plan, at_once=False))
    ends = render_utc_date(desk.house.clock.now_ms() + OLD_KEY_MS)
    desk.house.clock.pass_s(DAY_MS / 1000)
    assert await desk.put(update={made: {"expires": None}}) == {
        "created": None,
        "updated": {made: {"expires": ends}},
        "destroyed": None,
        "notCreated": None,
        "notUpdated": None,
        "notDestroyed": None,
    }
    desk.house.run(lambda plan: plan_rotate(plan, at_once=True))
    assert (await desk.shown(ids=None))["list"] == []
    assert (await desk.put(destroy=[made]))["notDestroyed"][made]["type"] == "notFound"
