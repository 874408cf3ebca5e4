"""Calls in order, each with its own answer, whatever becomes of the others."""

import logging
from typing import Any

import pytest

from protocols.jmap import dispatch
from protocols.jmap.capabilities import CORE, MAIL
from protocols.jmap.context import Context
from protocols.jmap.methods import METHODS, Method
from protocols.ports import Unavailable
from tests.protocols.jmap.desk import Desk


async def test_echo_echoes() -> None:
    held = {"a": [1, 2.5, None, "é\u0000", {"b": True}], "": {}}
    assert await Desk().request(["Core/echo", held, "x"]) == [["Core/echo", held, "x"]]


async def test_calls_are_answered_in_order_and_failures_stand_alone() -> None:
    desk = Desk()
    told = await desk.request(
        ["Core/echo", {"n": 1}, "a"],
        ["No/such", {}, "b"],
        ["Mailbox/get", {"accountId": desk.account, "ids": 1}, "a"],
        ["Core/echo", {"n": 2}, "a"],
    )
    assert [(name, call) for name, _, call in told] == [
        ("Core/echo", "a"),
        ("error", "b"),
        ("error", "a"),
        ("Core/echo", "a"),
    ]
    assert [told[1][1]["type"], told[2][1]["type"]] == ["unknownMethod", "invalidArguments"]


async def test_methods_of_capabilities_not_used_are_unknown() -> None:
    desk = Desk()
    get: tuple[Any, ...] = ("Mailbox/get", {"accountId": desk.account})
    uses: list[tuple[list[str], int]] = [([], 0), ([CORE], 1), ([MAIL], 1), ([CORE, MAIL], 2)]
    for using, known in uses:
        told = await desk.request(("Core/echo", {}), get, using=using)
        assert [name for name, _, _ in told].count("error") == 2 - known


async def test_the_account_is_named_and_ones_own() -> None:
    desk = Desk()
    cases: dict[str, list[Any]] = {
        "accountNotFound": [desk.bob, "a99", "nobody", "A1", "", "a b"],
        "invalidArguments": [None, 1, []],
    }
    for type_, accounts in cases.items():
        for account in accounts:
            ((_, told, _),) = await desk.request(["Email/get", {"accountId": account, "ids": []}])
            assert told["type"] == type_, account
    ((_, told, _),) = await desk.request(["Email/get", {"ids": []}])
    assert told["type"] == "invalidArguments"


async def test_unknown_arguments_are_refused() -> None:
    desk = Desk()
    for name in METHODS:
        if name != "Core/echo":
            assert await desk.refusal(name, surprise=1) == "invalidArguments", name


async def test_references_feed_calls_from_calls() -> None:
    desk = Desk()
    email = desk.deliver()
    account = {"accountId": desk.account}
    told = await desk.request(
        ["Email/query", account, "0"],
        ["Email/get", {**account, "#ids": _of("0", "Email/query", "/ids")}, "1"],
        ["Thread/get", {**account, "#ids": _of("1", "Email/get", "/list/*/threadId")}, "2"],
        ["Email/get", {**account, "#ids": _of("2", "Thread/get", "/list/*/emailIds")}, "3"],
        ["Email/get", {**account, "#ids": _of("1", "Email/query", "/ids")}, "4"],
    )
    assert told[3][1]["list"][0]["id"] == email
    assert told[3][1]["list"] == told[1][1]["list"]
    assert told[4][1]["type"] == "invalidResultReference"


def _of(call: str, name: str, path: str) -> dict[str, str]:
    return {"resultOf": call, "name": name, "path": path}


async def test_references_cannot_make_an_answer_grow_without_end() -> None:
    desk = Desk()
    calls: list[Any] = [["Core/echo", {"x": "y" * 100_000}, "c0"]]
    for n in range(1, 20):
        whole = _of(f"c{n - 1}", "Core/echo", "")
        calls.append(["Core/echo", {f"#k{at}": whole for at in range(10)}, f"c{n}"])
    answer = await desk.post({"using": [CORE], "methodCalls": calls})
    assert answer.status == 200 and len(answer.body) < 40_000_000
    assert answer.json["methodResponses"][5][1]["type"] in (
        "requestTooLarge",
        "invalidResultReference",
    )


async def test_references_cannot_make_an_answer_deeper_than_can_be_written() -> None:
    desk = Desk()
    nested: Any = 1
    for _ in range(100):
        nested = [nested]
    calls: list[Any] = [["Core/echo", {"x": nested}, "c0"]]
    deeper = "[" * 100 + "1" + "]" * 100
    for n in range(1, 32):
        calls.append(["Core/echo", {"#x": _of(f"c{n - 1}", "Core/echo", ""), "d": deeper}, f"c{n}"])
    answer = await desk.post({"using": [CORE], "methodCalls": calls})
    assert answer.status == 200


async def test_creation_ids_live_through_the_request_and_are_told_when_given() -> None:
    desk = Desk()
    drafts = desk.mailbox("drafts")
    make = {"accountId": desk.account, "create": {"box": {"name": "Made"}}}
    draft = {"mailboxIds": {"#box": True, "#old": True}, "subject": "s"}
    answer = await desk.post(
        {
            "using": [CORE, MAIL],
            "methodCalls": [
                ["Mailbox/set", make, "0"],
                ["Email/set", {"accountId": desk.account, "create": {"mail": draft}}, "1"],
                ["Email/get", {"accountId": desk.account, "ids": ["#mail"]}, "2"],
            ],
            "createdIds": {"old": drafts},
        }
    )
    told = answer.json
    box = told["methodResponses"][0][1]["created"]["box"]["id"]
    email = told["methodResponses"][1][1]["created"]["mail"]["id"]
    assert told["createdIds"] == {"old": drafts, "box": box, "mail": email}
    (shown,) = told["methodResponses"][2][1]["list"]
    assert shown["mailboxIds"] == {drafts: True, box: True}
    plain = await desk.post({"using": [CORE], "methodCalls": []})
    assert "createdIds" not in plain.json


async def test_without_a_leader_each_call_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()

    async def no_leader() -> Any:
        raise Unavailable

    monkeypatch.setattr(desk.house.reader, "view", no_leader)
    told = await desk.request(["Core/echo", {}, "a"], ["No/such", {}, "b"])
    assert [(name, call) for name, _, call in told] == [("error", "a"), ("error", "b")]
    assert {result["type"] for _, result, _ in told} == {"serverUnavailable"}


async def test_a_leader_lost_on_the_way_is_told_by_the_calls_that_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk()

    async def cut(_: Context, __: Any) -> dict[str, Any]:
        desk.house.unavailable = True
        return {}

    monkeypatch.setitem(METHODS, "Core/echo", Method(CORE, cut))
    account = {"accountId": desk.account}
    told = await desk.request(
        ["Core/echo", {}],
        ["Email/set", {**account, "create": {"k": {"mailboxIds": {"m1": True}}}}],
        ["Mailbox/get", {**account, "ids": []}],
    )
    assert told[1][1]["type"] == "serverUnavailable"
    assert told[2][0] == "Mailbox/get"


async def test_a_bug_is_told_and_logged_and_the_next_call_runs(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Context, __: Any) -> dict[str, Any]:
        raise KeyError("ours")

    monkeypatch.setitem(METHODS, "Thread/get", Method(MAIL, broken))
    with caplog.at_level(logging.ERROR, "trireme.jmap"):
        told = await Desk().request(["Thread/get", {}], ["Core/echo", {"n": 1}])
    assert told[0][1]["type"] == "serverFail" and "ours" not in str(told)
    assert told[1] == ["Core/echo", {"n": 1}, "c1"]
    assert "KeyError: 'ours'" in caplog.text


async def test_the_session_state_is_the_sessions() -> None:
    desk = Desk()
    session = await desk.http("GET", "/.well-known/jmap")
    answer = await desk.post({"using": [CORE], "methodCalls": []})
    assert answer.json["sessionState"] == session.json["state"]


async def test_an_answer_may_grow_so_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "RESPONSES_OCTETS_MAX", 1000)
    half = {"x": "y" * 490}
    told = await Desk().request(*[["Core/echo", half]] * 4)
    assert [name for name, _, _ in told] == ["Core/echo"] * 3 + ["error"]
    assert told[3][1]["type"] == "requestTooLarge"


async def test_what_a_call_implies_answers_after_it_under_its_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def imply(context: Context, _: Any) -> dict[str, Any]:
        context.imply("Email/set", {"accountId": "a1", "destroy": ["e99"]})
        context.imply("Email/set", {})
        return {}

    monkeypatch.setitem(METHODS, "Core/echo", Method(CORE, imply))
    told = await Desk().request(["Core/echo", {}, "x"], ["No/such", {}, "y"], using=[CORE])
    assert [(name, call) for name, _, call in told] == [
        ("Core/echo", "x"),
        ("Email/set", "x"),  # though its capability is not in use
        ("error", "x"),
        ("error", "y"),
    ]
    assert told[1][1]["notDestroyed"] == {"e99": {"type": "notFound"}}
