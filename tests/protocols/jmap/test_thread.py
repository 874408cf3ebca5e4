"""Threads over JMAP: which emails they hold, in what order, and how that changes."""

from tests.protocols.jmap.desk import Desk, message


def reply(number: int, *, to: int) -> bytes:
    """An answer in the same thread."""
    head = f"In-Reply-To: <{to}@example.net>\r\nFrom: "
    return message("Re: Hello", number=number).replace(b"From: ", head.encode(), 1)


async def test_a_thread_lists_its_emails_oldest_first() -> None:
    desk = Desk()
    second = desk.deliver(reply(2, to=1), received_ms=2000)
    first = desk.deliver(message(number=1), received_ms=1000)
    other = desk.deliver(message("Other", number=3), received_ms=1500)
    emails = (await desk.call("Email/get", ids=[first, second, other]))["list"]
    ours, same, theirs = (email["threadId"] for email in emails)
    assert ours == same != theirs
    told = await desk.call("Thread/get", ids=[ours, theirs, ours, "t9", "x"])
    assert told["list"] == [
        {"id": ours, "emailIds": [first, second]},
        {"id": theirs, "emailIds": [other]},
    ]
    assert told["notFound"] == ["t9", "x"]
    told = await desk.call("Thread/get", ids=[ours], properties=["id"])
    assert told["list"] == [{"id": ours}]
    assert len((await desk.call("Thread/get", ids=None))["list"]) == 2


async def test_threads_change_with_their_emails() -> None:
    desk = Desk()
    first = desk.deliver(message(number=1))
    state = (await desk.call("Thread/get", ids=[]))["state"]
    second = desk.deliver(reply(2, to=1))
    (thread,) = (await desk.call("Thread/get", ids=None))["list"]
    told = await desk.call("Thread/changes", sinceState=state)
    assert (told["created"], told["updated"]) == ([], [thread["id"]])
    await desk.call("Email/set", destroy=[first, second])
    told = await desk.call("Thread/changes", sinceState=state)
    assert told["destroyed"] == [thread["id"]]
    assert (await desk.call("Thread/get", ids=[thread["id"]]))["notFound"] == [thread["id"]]
