"""Names that stay subscribed when their mailboxes go: kept within bounds, taken once."""

from storage.mail.left_names import (
    LEFT_NAME_BYTES_MAX,
    LEFT_NAMES_MAX,
    left_names,
    plan_leave_name,
    plan_take_name,
)
from tests.storage.mail.story import ALICE, House


def test_a_name_is_left_and_taken_once() -> None:
    house = House().open()
    with house.command() as plan:
        plan_leave_name(plan, ALICE, "Fruit/Pfirsich \u00e4")
        plan_leave_name(plan, ALICE, "Fruit/Apple")
    assert left_names(house.engine, ALICE) == ["Fruit/Apple", "Fruit/Pfirsich \u00e4"]
    with house.command() as plan:
        assert plan_take_name(plan, ALICE, "Fruit/Apple")
        assert not plan_take_name(plan, ALICE, "Fruit/Apple")
        assert not plan_take_name(plan, ALICE, "Fruit")
    assert left_names(house.engine, ALICE) == ["Fruit/Pfirsich \u00e4"]


def test_names_are_many_but_not_without_end() -> None:
    house = House(checked=False).open()
    with house.command() as plan:
        for number in range(LEFT_NAMES_MAX):
            plan_leave_name(plan, ALICE, f"n{number:04}")
    with house.command() as plan:
        plan_leave_name(plan, ALICE, "one more")
    held = left_names(house.engine, ALICE)
    assert len(held) == LEFT_NAMES_MAX and "one more" not in held


def test_a_very_long_name_is_not_left() -> None:
    house = House().open()
    with house.command() as plan:
        plan_leave_name(plan, ALICE, "n" * (LEFT_NAME_BYTES_MAX + 1))
        plan_leave_name(plan, ALICE, "m" * LEFT_NAME_BYTES_MAX)
    assert left_names(house.engine, ALICE) == ["m" * LEFT_NAME_BYTES_MAX]
