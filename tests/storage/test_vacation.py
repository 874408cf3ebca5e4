"""The one vacation response of an account."""

from storage.changes import since
from storage.ids import AccountId
from storage.keys import TypeCode
from storage.mail.state import version
from storage.vacation import VACATION, Vacation, plan_vacation, vacation
from tests.fakes import make_house

ALICE = AccountId(7)


def test_it_is_there_from_the_beginning_and_only_changes() -> None:
    house = make_house()
    assert vacation(house.engine, ALICE) == Vacation()
    house.run(lambda plan: plan_vacation(plan, ALICE, Vacation()))
    assert version(house.engine, ALICE) == 0  # nothing was changed
    away = Vacation(True, 1, 2, "Away", "Back soon", None)
    house.run(lambda plan: plan_vacation(plan, ALICE, away))
    assert vacation(house.engine, ALICE) == away
    found = since(house.engine, ALICE, TypeCode.VACATION, 0)
    assert (found.created, found.updated, found.destroyed) == ([], [VACATION], [])
