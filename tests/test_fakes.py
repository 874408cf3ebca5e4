"""The fake house keeps the promises of protocols.ports."""

import pytest
import trio

from protocols.ports import AuthFailed, Unavailable
from storage.ids import blob_id
from storage.keys import TypeCode
from storage.mail.mailboxes import list_mailboxes, plan_create
from storage.plan import Plan
from tests.fakes import FakeHouse, make_house

ALICE = "alice@example.org"


@pytest.fixture
def house() -> FakeHouse:
    return make_house({ALICE: "secret"})


async def test_an_account_has_its_mailboxes_and_password(house: FakeHouse) -> None:
    principal = await house.ports.auth.password("Alice@Example.org", "secret", remote="::1")
    assert principal.account == house.accounts[ALICE]
    view = await house.ports.reader.view()
    assert len(list_mailboxes(view, principal.account)) == 6
    assert house.ports.directory.resolve(view, "alice+lists@example.org") == principal.account
    with pytest.raises(AuthFailed):
        await house.ports.auth.password(ALICE, "wrong", remote="::1")


async def test_a_write_is_applied_and_announced(house: FakeHouse) -> None:
    alice = house.accounts[ALICE]
    with house.ports.news.watch([alice]) as watch:
        box = await house.ports.writer.write(alice, lambda plan: plan_create(plan, alice, "Lists"))
        await watch.wait()
        (version, types) = watch.take()[alice]
    assert types & TypeCode.MAILBOX.bit and version == box.created
    assert box in list_mailboxes(house.view(), alice)


async def test_a_rival_makes_the_command_run_again(house: FakeHouse) -> None:
    alice = house.accounts[ALICE]
    house.conflicts = 2
    runs = []

    def command(plan: Plan) -> int:
        runs.append(plan.version(alice))
        return plan.touch(alice, TypeCode.EMAIL.bit)

    assert await house.ports.writer.write(alice, command) == runs[0] + 3
    assert len(runs) == 3


async def test_a_refused_command_writes_nothing(house: FakeHouse) -> None:
    alice = house.accounts[ALICE]
    before = house.engine.rows()

    def command(plan: Plan) -> None:
        plan.touch(alice, 1)
        raise KeyError("no")

    with pytest.raises(KeyError):
        await house.ports.writer.write(alice, command)
    assert house.engine.rows() == before


@pytest.mark.parametrize("size", [0, 1, 100_000, 700_000, 2_000_000])
async def test_blobs_are_there_when_the_rows_are(house: FakeHouse, size: int) -> None:
    alice = house.accounts[ALICE]
    data = bytes(house.chance.randbytes(size))
    await house.ports.writer.write(alice, lambda plan: plan.touch(alice, 1), blobs=[data, data])
    assert house.ports.blobs.size(blob_id(data)) == size
    assert house.ports.blobs.read(blob_id(data), 0, size + 1) == data


async def test_switches(house: FakeHouse, autojump_clock: trio.testing.MockClock) -> None:
    alice = house.accounts[ALICE]
    house.unavailable = True
    with pytest.raises(Unavailable):
        await house.ports.writer.write(alice, lambda plan: None)
    with pytest.raises(Unavailable):
        await house.ports.reader.view()
    house.unavailable = False
    house.stall()
    with trio.move_on_after(1) as scope:
        await house.ports.writer.write(alice, lambda plan: None)
    assert scope.cancelled_caught
    house.release()
    await house.ports.writer.write(alice, lambda plan: None)
