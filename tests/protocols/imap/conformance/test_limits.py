"""What needs a bound to be met, or someone else's annotations: no client can show it alone."""

import pytest

from storage import lists
from storage.mail import annotations
from tests.protocols.imap.stage import mail, open_stage


async def test_a_value_too_large_tells_how_large_it_may_be() -> None:
    async with open_stage() as stage:
        client = await stage.reader()
        value = b"x" * (annotations.VALUE_BYTES_MAX + 1)
        await client.say(b"t SETMETADATA INBOX (/private/comment {%d+}" % len(value))
        await client.send(value + b")\r\n")
        told = b"t NO [METADATA MAXSIZE %d]" % annotations.VALUE_BYTES_MAX
        assert (await client.line()).startswith(told)


async def test_too_many_annotations_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotations, "ENTRIES_MAX", 2)
    async with open_stage() as stage:
        client = await stage.reader()
        for name in (b"one", b"two"):
            command = b'SETMETADATA "" (/private/filters/values/%b "SEEN")' % name
            assert (await client.ask(command))[-1].startswith(b"t OK")
        [ending] = await client.ask(b'SETMETADATA "" (/private/filters/values/three "SEEN")')
        assert ending.startswith(b"t NO [METADATA TOOMANY]")
        [ending] = await client.ask(b'SETMETADATA "" (/private/filters/values/two "UNSEEN")')
        assert ending.startswith(b"t OK")


@pytest.mark.parametrize("is_list", [False, True])
async def test_the_administrator_has_a_uri(is_list: bool) -> None:
    people = ("alice@example.org", *(() if is_list else ("postmaster@example.org",)))
    async with open_stage(people=people) as stage:
        if is_list:
            stage.house.run(
                lambda plan: lists.plan_create(plan, "postmaster@example.org", [people[0]])
            )
        client = await stage.reader()
        told, _ = await client.ask(b'GETMETADATA "" /shared/admin')
        assert told == b'* METADATA "" (/shared/admin "mailto:postmaster@example.org")'


async def test_ones_own_filter_stands_before_one_that_all_share() -> None:
    async with open_stage() as stage:
        for subject in ("one", "two"):
            stage.deliver(mail(subject))
        entry = {"/filters/values/mine": b"SUBJECT one"}
        stage.house.run(
            lambda plan: annotations.plan_annotate(
                plan, stage.alice, annotations.WHOLE_ACCOUNT, annotations.SHARED, entry
            )
        )
        client = await stage.reader()
        assert (await client.ask(b"SEARCH FILTER mine"))[0] == b"* SEARCH 1"
        await client.ask(b'SETMETADATA "" (/private/filters/values/mine "SUBJECT two")')
        assert (await client.ask(b"SEARCH FILTER mine"))[0] == b"* SEARCH 2"
