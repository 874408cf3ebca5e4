"""RFC 8620, what no other story tells: each test is named by a row of rfc8620.txt."""

import base64
from typing import Any

from protocols.jmap.capabilities import CORE, MAIL, Limits
from storage.mail.state import version
from storage.subscriptions import SUBSCRIPTIONS
from tests.protocols.jmap.desk import ALICE, Desk, message


async def make(desk: Desk, *names: str) -> list[str]:
    """New mailboxes of these names."""
    create = {f"k{number}": {"name": name} for number, name in enumerate(names)}
    told = await desk.call("Mailbox/set", create=create)
    return [told["created"][key]["id"] for key in create]


async def test_ids_are_safe_wherever_they_end_up() -> None:
    desk = Desk()
    emails = [desk.deliver(message(number=number)) for number in range(3)]
    told = await desk.call("Email/get", ids=emails, properties=["threadId", "blobId"])
    ids = [value for email in told["list"] for value in email.values()]
    ids += (await desk.call("Mailbox/query"))["ids"] + [desk.account]
    # RFC 8620 1.2: no dash at the start, no digit, no "NIL", none that differ by case alone.
    assert all(one[0].isalpha() and one[1:] and one.upper() != "NIL" for one in ids)
    assert len({one.lower() for one in ids}) == len(ids)


async def test_the_session_is_as_clients_expect_it() -> None:
    desk = Desk()
    session = (await desk.http("GET", "/.well-known/jmap")).json
    assert CORE in session["capabilities"] and CORE not in session["primaryAccounts"]
    assert session["primaryAccounts"][MAIL] == desk.account
    account = session["accounts"][desk.account]
    assert (account["isPersonal"], account["isReadOnly"]) == (True, False)
    for url, names in (
        ("downloadUrl", ("accountId", "blobId", "type", "name")),
        ("uploadUrl", ("accountId",)),
        ("eventSourceUrl", ("types", "closeafter", "ping")),
    ):
        assert all(f"{{{name}}}" in session[url] for name in names), url
    assert "{type}" in session["downloadUrl"].partition("?")[2]


async def test_a_request_may_hold_what_we_do_not_know() -> None:
    told = await Desk().request(["Core/echo", {"a": None}], odd=[1], createdIds={})
    assert told == [["Core/echo", {"a": None}, "c0"]]


async def test_what_is_left_out_or_null_is_the_default() -> None:
    desk = Desk()
    desk.deliver()
    null = dict.fromkeys(("filter", "sort", "position", "anchor", "limit", "calculateTotal"))
    assert await desk.call("Email/query") == await desk.call("Email/query", **null)
    null = dict.fromkeys(("ids", "properties"))
    assert await desk.call("Mailbox/get") == await desk.call("Mailbox/get", **null)
    null = dict.fromkeys(("ifInState", "create", "update", "destroy", "onDestroyRemoveEmails"))
    assert await desk.call("Mailbox/set") == await desk.call("Mailbox/set", **null)


async def test_a_call_that_failed_changed_nothing() -> None:
    desk = Desk()
    state = (await desk.call("Mailbox/get", ids=[]))["state"]
    create = {"k": {"name": "New"}}
    assert await desk.refusal("Mailbox/set", create=create, destroy="x") == "invalidArguments"
    assert await desk.refusal("Mailbox/set", create=create, ifInState="x") == "stateMismatch"
    assert await desk.refusal("Mailbox/set", create=create, odd=1) == "invalidArguments"
    told = await desk.call("Mailbox/changes", sinceState=state)
    assert told["newState"] == state and not told["created"]


async def test_the_state_moves_with_the_data() -> None:
    desk = Desk()
    first, again = [(await desk.call("Email/get", ids=[]))["state"] for _ in range(2)]
    query = (await desk.call("Email/query"))["queryState"]
    assert first == again and query == (await desk.call("Email/query"))["queryState"]
    desk.deliver()
    assert (await desk.call("Email/get", ids=[]))["state"] != first
    assert (await desk.call("Email/query"))["queryState"] != query


TYPES = "Mailbox Email Thread Identity EmailSubmission VacationResponse Quota".split()


async def states(desk: Desk) -> dict[str, str]:
    """The state of every type, as its /get and its /query tell it."""
    told = {name: (await desk.call(f"{name}/get", ids=[]))["state"] for name in TYPES}
    for name in ("Mailbox", "Email", "EmailSubmission", "Quota"):
        assert (await desk.call(f"{name}/query"))["queryState"] == told[name]
    by_size = await desk.call("Email/query", sort=[{"property": "size"}])
    assert by_size["queryState"] == told["Email"]
    return told


async def test_the_state_of_a_type_stays_while_others_change() -> None:
    desk = Desk()
    identity = (await desk.call("Identity/get"))["list"][0]["id"]
    steps: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("Mailbox/set", {"create": {"k": {"name": "New"}}}, "Mailbox Quota"),
        ("Mailbox/set", {"update": {"#k": {}}}, ""),
        ("Identity/set", {"update": {identity: {"name": "Alice"}}}, "Identity"),
        (
            "VacationResponse/set",
            {"update": {"singleton": {"isEnabled": True}}},
            "VacationResponse",
        ),
        ("Email/set", {"update": {"e1": {"keywords/$seen": True}}}, "Email Mailbox"),
        ("Email/set", {"update": {"e1": {"keywords/$flagged": True}}}, "Email"),
        ("Email/set", {"update": {"e1": {"keywords/$flagged": True}}}, ""),
        ("Email/set", {"destroy": ["e9"]}, ""),
        ("Email/set", {"destroy": ["e1"]}, "Email Mailbox Thread"),
    )
    before = await states(desk)
    desk.deliver()
    now = await states(desk)
    assert {name for name in TYPES if now[name] != before[name]} == {"Mailbox", "Email", "Thread"}
    for method, arguments, moved in steps:
        before = now
        told = await desk.call(method, **arguments)
        now = await states(desk)
        assert {name for name in TYPES if now[name] != before[name]} == set(moved.split()), method
        name = method.partition("/")[0]
        assert (told["oldState"], told["newState"]) == (before[name], now[name])
        for name in ("Mailbox", "Email", "Thread", "Identity", "Quota"):
            told = await desk.call(f"{name}/changes", sinceState=before[name])
            assert told["newState"] == now[name] and not told["hasMoreChanges"]
            changed = told["created"] + told["updated"] + told["destroyed"]
            assert bool(changed) == (now[name] != before[name])


async def test_states_from_before_types_had_their_own_are_understood() -> None:
    desk = Desk()
    desk.deliver()
    one = str(version(desk.house.view(), desk.number))
    for name in ("k", "l"):
        await desk.call("Identity/set", create={name: {"email": ALICE}})
    now = str(version(desk.house.view(), desk.number))
    email = (await desk.call("Email/get", ids=[]))["state"]
    for old in (one, now):
        told = await desk.call("Email/changes", sinceState=old)
        assert (told["oldState"], told["newState"], told["updated"]) == (old, email, [])
        told = await desk.call("Email/queryChanges", sinceQueryState=old)
        assert (told["oldQueryState"], told["newQueryState"]) == (old, email)
        told = await desk.call("Email/set", ifInState=old, destroy=[])
        assert told["oldState"] == told["newState"] == email
    told = await desk.call("Identity/changes", sinceState=one, maxChanges=1)
    assert told["hasMoreChanges"] and int(one) < int(told["newState"]) < int(now)
    assert (await desk.call("Identity/changes", sinceState=told["newState"]))["newState"] == now
    assert await desk.refusal("Identity/set", ifInState=one, destroy=[]) == "stateMismatch"
    later = str(int(now) + 1)
    assert await desk.refusal("Email/set", ifInState=later, destroy=[]) == "stateMismatch"
    assert await desk.refusal("Email/changes", sinceState=later) == "cannotCalculateChanges"


async def test_an_id_asked_for_twice_is_answered_once() -> None:
    desk = Desk()
    email = desk.deliver()
    told = await desk.call("Email/get", ids=[email, "e9", email, "e9"], properties=["size"])
    assert len(told["list"]) == len(told["notFound"]) == 1


async def test_a_creation_id_means_what_was_made_last() -> None:
    desk = Desk()
    account = {"accountId": desk.account}
    told = await desk.request(
        ["Mailbox/set", {**account, "create": {"k": {"name": "First"}}}],
        ["Mailbox/set", {**account, "create": {"k": {"name": "Second"}}}],
        ["Mailbox/get", {**account, "ids": ["#k"], "properties": ["name"]}],
    )
    assert told[2][1]["list"][0]["name"] == "Second"


async def test_all_wrong_properties_are_listed() -> None:
    desk = Desk()
    for values, wrong in (
        ({"name": 1, "sortOrder": -1, "isSubscribed": None}, ["isSubscribed", "name", "sortOrder"]),
        ({"name": "X", "id": "m1", "odd": 1, "myRights": {}}, ["id", "myRights", "odd"]),
    ):
        told = await desk.call("Mailbox/set", create={"k": values})
        assert sorted(told["notCreated"]["k"]["properties"]) == wrong


async def test_the_order_is_the_same_each_time() -> None:
    desk = Desk()
    for number in range(5):
        desk.deliver(message("Same", number=number), received_ms=1_000_000)
    for sort in (None, [], [{"property": "subject"}], [{"property": "receivedAt"}]):
        first, again = [(await desk.call("Email/query", sort=sort))["ids"] for _ in range(2)]
        assert first == again and len(set(first)) == 5


async def test_strings_are_sorted_for_people() -> None:
    desk = Desk()
    names = ["zebra", "Ärger", "apfel", "Österreich", "Ophelia", "Äpfel"]
    made = dict(zip(await make(desk, *names), names, strict=True))
    told = await desk.call(
        "Mailbox/query", filter={"hasAnyRole": False}, sort=[{"property": "name"}]
    )
    found = [made[one] for one in told["ids"]]
    assert found == ["apfel", "Äpfel", "Ärger", "Ophelia", "Österreich", "zebra"]


async def test_windows_of_a_query() -> None:
    desk = Desk()
    for number in range(5):
        desk.deliver(message(number=number), received_ms=1_000_000 * (number + 1))
    every = (await desk.call("Email/query"))["ids"]
    for window, start, end in (
        ({"position": -2}, 3, 5),
        ({"position": -9, "limit": 2}, 0, 2),
        ({"position": 5}, 5, 5),
        ({"position": 99}, 5, 5),
        ({"limit": 0}, 0, 0),
        ({"anchorOffset": 3, "limit": 1}, 0, 1),
        ({"anchor": every[2], "position": 4, "limit": 2}, 2, 4),
        ({"anchor": every[2], "anchorOffset": -1, "limit": 1}, 1, 2),
        ({"anchor": every[1], "anchorOffset": -9, "limit": 1}, 0, 1),
        ({"anchor": every[4], "anchorOffset": 1}, 5, 5),
    ):
        for sort in (None, [{"property": "size"}]):
            all_ = (await desk.call("Email/query", sort=sort))["ids"]
            told = await desk.call("Email/query", sort=sort, **window)
            if "anchor" in window and sort:
                continue  # the anchor stands elsewhere in this order
            assert told["ids"] == all_[start:end] and "total" not in told, window
    assert (await desk.call("Email/query", limit=1, calculateTotal=True))["total"] == 5
    assert await desk.refusal("Email/query", limit=-1) == "invalidArguments"


async def test_changes_of_a_query() -> None:
    desk = Desk()
    first = desk.deliver(message(number=1), received_ms=3_000_000)
    state = (await desk.call("Email/query"))["queryState"]
    late = desk.deliver(message(number=2), received_ms=1_000_000)
    early = desk.deliver(message(number=3), received_ms=5_000_000)
    told = await desk.call("Email/queryChanges", sinceQueryState=state)
    assert told["added"] == [{"id": early, "index": 0}, {"id": late, "index": 2}]
    assert told["removed"] == [] and "total" not in told
    await desk.call("Email/set", destroy=[first])
    told = await desk.call("Email/queryChanges", sinceQueryState=state, calculateTotal=True)
    assert told["removed"] == [first] and told["total"] == 2
    wanted = {"sinceQueryState": state, "maxChanges": 2}
    assert await desk.refusal("Email/queryChanges", **wanted) == "tooManyChanges"


def test_uploads_have_room_for_the_largest_object() -> None:
    limits = Limits()
    assert limits.uploads_kept_max >= limits.upload_bytes_max >= limits.submission_bytes_max


async def test_a_blob_outlives_the_call_that_lets_go_of_it() -> None:
    desk = Desk()
    email = desk.deliver()
    (held,) = (await desk.call("Email/get", ids=[email], properties=["textBody"]))["list"]
    draft = {
        "mailboxIds": {desk.mailbox("drafts"): True},
        "attachments": [{"blobId": held["textBody"][0]["blobId"], "type": "text/plain"}],
    }
    told = await desk.call("Email/set", create={"k": draft}, destroy=[email])
    assert told["destroyed"] == [email]
    got = await desk.call("Email/get", ids=[told["created"]["k"]["id"]], properties=["attachments"])
    blob = got["list"][0]["attachments"][0]["blobId"]
    data = await desk.http("GET", f"/jmap/download/{desk.account}/{blob}/a?type=text/plain")
    assert data.body == b"Hi there.\r\n"


async def test_refusals_of_downloads_are_problem_documents() -> None:
    desk = Desk()
    cases: list[tuple[str, dict[str, Any], int]] = [
        (f"/jmap/download/{desk.account}/b0/x?type=a/b", {}, 404),
        (f"/jmap/download/{desk.account}/b0/x?type=a/b", {"auth": None}, 401),
        ("/jmap/download/nobody/b0/x?type=a/b", {}, 404),
    ]
    for target, how, status in cases:
        answer = await desk.http("GET", target, **how)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.status == answer.json["status"] == status


async def test_a_verification_code_cannot_be_guessed() -> None:
    desk = Desk()
    wanted = {"deviceClientId": "d", "url": "https://push.example.com/x"}
    for key in "ab":
        await desk.request(["PushSubscription/set", {"create": {key: wanted}}])
    held = SUBSCRIPTIONS.list(desk.house.view(), desk.number)
    codes = {subscription.code for _, subscription in held}
    assert len(codes) == 2 and all(len(base64.b16decode(code.upper())) >= 16 for code in codes)
