"""Limits that an administrator sets while others use their mail, by every door at once."""

import pytest

from protocols.imap.quota_commands import RESOURCES_MAX
from storage.accounts import get_account, plan_set_administrator
from storage.keys import TypeCode
from storage.mail.quota import LIMIT_MAX, Limits, limits, plan_limit
from tests.protocols.imap.stage import ALICE, Client, Stage, mail, open_stage

ROOT = "root@example.org"
HERS = b'"Other Users/alice@example.org"'
PEOPLE = (ALICE, ROOT)


def appoint(stage: Stage, administrator: bool = True) -> None:
    """Root becomes an administrator, or one no more."""
    account = stage.house.accounts[ROOT]
    stage.house.run(lambda plan: plan_set_administrator(plan, account, administrator))


async def root(stage: Stage) -> Client:
    """A connection of an administrator."""
    appoint(stage)
    client = stage.connect()
    await client.login(ROOT)
    return client


async def offered(client: Client) -> bool:
    """Whether QUOTASET is, to whoever the client is now."""
    listed, _ = await client.ask(b"CAPABILITY")
    assert {b"QUOTA", b"QUOTA=RES-STORAGE"} <= set(listed.split())
    return b"QUOTASET" in listed.split()


async def test_it_is_offered_to_whom_it_is_allowed_and_while_it_is() -> None:
    async with open_stage(people=PEOPLE) as stage:
        appoint(stage)
        client = stage.connect()
        assert (await client.line()).startswith(b"* OK [CAPABILITY ")
        assert not await offered(client)
        ending = (await client.ask(b"LOGIN root@example.org secret"))[-1]
        assert b" QUOTASET " in ending
        assert await offered(client)
        appoint(stage, administrator=False)
        assert not await offered(client)
        appoint(stage)
        assert await offered(client)
        assert (await client.ask(b"UNAUTHENTICATE"))[-1].startswith(b"t OK")
        assert not await offered(client)
        ending = (await client.ask(b"LOGIN alice@example.org secret"))[-1]
        assert b"QUOTASET" not in ending
        assert not await offered(client)


async def test_the_limit_is_the_accounts_and_the_operator_sees_it() -> None:
    async with open_stage(people=PEOPLE) as stage:
        client, house = await root(stage), stage.house
        assert (await client.ask(b"SETQUOTA " + HERS + b" (STORAGE 3 MESSAGE 5)"))[-1] == (
            b"t OK SETQUOTA completed"
        )
        assert limits(house.view(), stage.alice) == Limits(octets=3 * 1024, messages=5)
        held = get_account(house.view(), stage.alice)
        assert held is not None and held.quota == 3 * 1024
        assert limits(house.view(), house.accounts[ROOT]) == Limits()


async def test_who_loses_the_right_while_it_is_decided_sets_nothing() -> None:
    async with open_stage(people=PEOPLE) as stage:
        client = await root(stage)
        stage.house.stall()
        await client.say(b"t SETQUOTA " + HERS + b" (STORAGE 0)")
        appoint(stage, administrator=False)
        stage.house.release()
        assert await client.line() == b"t NO [NOPERM] Permission denied"
        assert limits(stage.house.view(), stage.alice) == Limits()


async def test_who_loses_the_right_on_another_node_meanwhile_sets_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_stage(people=PEOPLE) as stage:
        client = await root(stage)
        monkeypatch.setattr(stage.house, "interfere", lambda _: appoint(stage, False))
        stage.house.conflicts = 1
        (ending,) = await client.ask(b"SETQUOTA " + HERS + b" (MESSAGE 5)")
        assert ending == b"t NO [NOPERM] Permission denied"
        assert limits(stage.house.view(), stage.alice) == Limits()


async def test_without_a_majority_nothing_is_said_to_be_set() -> None:
    async with open_stage(people=PEOPLE) as stage:
        client = await root(stage)
        stage.house.unavailable = True
        (ending,) = await client.ask(b"SETQUOTA " + HERS + b" (STORAGE 0)")
        assert ending.startswith(b"t NO [UNAVAILABLE]")
        stage.house.unavailable = False
        assert limits(stage.house.view(), stage.alice) == Limits()


async def test_others_of_the_account_set_it_meanwhile() -> None:
    async with open_stage(people=PEOPLE) as stage:
        client = await root(stage)
        stage.house.run(lambda plan: plan_limit(plan, stage.alice, 9 * 1024))
        stage.house.conflicts = 2
        told, ending = await client.ask(b"SETQUOTA " + HERS + b" (MESSAGE 5)")
        assert told == b"* QUOTA " + HERS + b" (MAILBOX 6 10000 MESSAGE 0 5)"
        assert ending == b"t OK SETQUOTA completed"


async def test_what_is_there_when_the_limit_comes_stays() -> None:
    async with open_stage(people=PEOPLE) as stage:
        stage.deliver(mail("tea", "x" * 5_000))
        client = await root(stage)
        await client.ask(b"SETQUOTA " + HERS + b" (STORAGE 1)")
        reader = await stage.reader()
        (told, ending) = await reader.ask(b"FETCH 1 RFC822.SIZE")
        assert ending.startswith(b"t OK") and b"RFC822.SIZE 5" in told
        (ending,) = await reader.ask(b"COPY 1 Archive")
        assert ending.startswith(b"t NO [OVERQUOTA]")


@pytest.mark.parametrize("count", [RESOURCES_MAX, RESOURCES_MAX + 1])
async def test_one_command_sets_so_many(count: int) -> None:
    async with open_stage(people=PEOPLE) as stage:
        client = await root(stage)
        many = b" ".join(b"X-%d 1" % number for number in range(count))
        ending = (await client.ask(b'SETQUOTA "" (' + many + b")"))[-1]
        code = b"CANNOT" if count == RESOURCES_MAX else b"LIMIT"
        assert b"[" + code + b"]" in ending


@pytest.mark.parametrize(
    ("asked", "kept"),
    [(LIMIT_MAX // 1024, LIMIT_MAX // 1024 * 1024), (LIMIT_MAX // 1024 + 1, LIMIT_MAX)],
)
async def test_more_octets_than_can_be_told_everywhere_are_rounded(asked: int, kept: int) -> None:
    async with open_stage(people=PEOPLE) as stage:
        client = await root(stage)
        told, _ = await client.ask(b"SETQUOTA " + HERS + b" (STORAGE %d)" % asked)
        assert b"STORAGE 0 %d" % (LIMIT_MAX // 1024) in told
        assert limits(stage.house.view(), stage.alice).octets == kept


@pytest.mark.parametrize(
    "name", [b"Other Users/ALICE@example.org", b"other users/alice@example.org", b"\xff", b"/"]
)
async def test_a_root_is_an_opaque_name(name: bytes) -> None:
    async with open_stage(people=PEOPLE) as stage:
        client = await root(stage)
        for verb in (b"GETQUOTA {%d+}\r\n%b", b"SETQUOTA {%d+}\r\n%b (STORAGE 1)"):
            (ending,) = await client.ask(verb % (len(name), name))
            assert ending == b"t NO [NONEXISTENT] No such quota root"
        assert limits(stage.house.view(), stage.alice) == Limits()


async def test_news_of_the_limit_are_told() -> None:
    async with open_stage(people=PEOPLE) as stage:
        client = await root(stage)
        with stage.house.news.watch([stage.alice]) as watch:
            await client.ask(b"SETQUOTA " + HERS + b" (STORAGE 1)")
            (_, kinds) = watch.take()[stage.alice]
            assert kinds & TypeCode.QUOTA.bit
