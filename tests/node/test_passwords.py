"""Password hashing: one spelling, one answer, and never more at a time than agreed."""

from collections.abc import Callable
from typing import TypeVar

import pytest
import trio
import trio.testing

from node.passwords import (
    FOREIGN_MEMORY_KIB_MAX,
    PASSWORD_BYTES_MAX,
    PasswordInvalid,
    Passwords,
    acceptable,
    prepare,
)
from protocols.ports import AuthBusy

T = TypeVar("T")
LIGHT_KIB = 64  # tests need not be slow


async def at_once(work: Callable[[], T]) -> T:
    await trio.lowlevel.checkpoint()
    return work()


def passwords(run: Callable[[Callable[[], T]], object] = at_once) -> Passwords:
    return Passwords(
        run,  # type: ignore[arg-type]
        random_bytes=lambda count: bytes(range(count)),
        threads=1,
        waiting_max=2,
        memory_kib=LIGHT_KIB,
    )


async def test_the_right_password_and_no_other() -> None:
    house = passwords()
    phc = await house.hash("correct horse")
    assert phc.startswith("$argon2id$v=19$m=64,t=2,p=1$")
    assert await house.check("correct horse", phc)
    assert not await house.check("correct horsf", phc)
    assert not await house.check("", phc)


async def test_a_hash_is_not_the_same_twice() -> None:
    drawn = iter(range(100))
    house = Passwords(
        at_once, random_bytes=lambda count: bytes([next(drawn)] * count), memory_kib=LIGHT_KIB
    )
    assert await house.hash("x") != await house.hash("x")


async def test_the_usual_hash_costs_what_it_should() -> None:
    house = Passwords(at_once, random_bytes=bytes)
    assert (await house.hash("x")).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_nobody_has_no_password_but_costs_as_much() -> None:
    checked: list[object] = []

    async def counted(work: Callable[[], T]) -> T:
        checked.append(work)
        return work()

    house = passwords(counted)
    assert not await house.check("anything", None)
    assert not await house.check("\0forbidden", None)
    assert len(checked) == 2


async def test_one_more_than_agreed_is_turned_away() -> None:
    gate = trio.Event()

    async def held(work: Callable[[], T]) -> T:
        await gate.wait()
        return work()

    house = passwords(held)
    async with trio.open_nursery() as nursery:
        for _ in range(3):  # one runs, two wait
            nursery.start_soon(house.hash, "x")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(AuthBusy):
            await house.hash("x")
        with pytest.raises(AuthBusy):
            await house.check("x", None)
        gate.set()
    assert await house.hash("x")


async def test_one_that_is_cancelled_leaves_its_seat() -> None:
    async def held(work: Callable[[], T]) -> T:
        await trio.sleep_forever()
        raise AssertionError

    house = passwords(held)
    for _ in range(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.hash, "x")
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("typed", "prepared"),
    [
        ("plain ASCII!", "plain ASCII!"),
        ("I\u00adX", "IX"),  # RFC 4013 3
        ("user", "user"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("e\u0301", "é"),
        ("a\u3000b", "a b"),
    ],
)
def test_one_spelling(typed: str, prepared: str) -> None:
    assert prepare(typed) == prepared.encode()


@pytest.mark.parametrize(
    "password",
    [
        "",
        "\u00ad",
        "\u0007",
        "\u0627\u0031",  # RFC 4013 3: right-to-left must stand at both ends
        "a\ue000",
        "x" * (PASSWORD_BYTES_MAX + 1),
        "é" * (PASSWORD_BYTES_MAX // 2 + 1),
    ],
)
def test_what_is_no_password(password: str) -> None:
    with pytest.raises(PasswordInvalid):
        prepare(password)


def test_the_longest_password_is_one() -> None:
    assert len(prepare("x" * PASSWORD_BYTES_MAX)) == PASSWORD_BYTES_MAX


@pytest.mark.parametrize(
    "phc",
    [
        "",
        "plain",
        "$argon2i$v=19$m=64,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$" + "A" * 43,
        "$argon2id$v=19$m=64,t=0,p=1$AAECAwQFBgcICQoLDA0ODw$" + "A" * 43,
        "$argon2id$v=19$m=64,t=99,p=1$AAECAwQFBgcICQoLDA0ODw$" + "A" * 43,
        f"$argon2id$v=19$m={FOREIGN_MEMORY_KIB_MAX + 1},t=2,p=1$AAECAwQFBgcICQoLDA0ODw$" + "A" * 43,
        "$argon2id$v=19$m=64,t=2,p=99$AAECAwQFBgcICQoLDA0ODw$" + "A" * 43,
    ],
)
async def test_hashes_from_elsewhere_ask_for_bounded_work(phc: str) -> None:
    assert not acceptable(phc)
    assert not await passwords().check("x", phc)
