"""Which claim wins."""

from itertools import permutations

import pytest

from gossip.config import GossipConfig
from gossip.members import Table, Verdict, claim_of, plausible
from gossip.messages import Alive, Claim, Dead, Left, Suspect
from gossip.model import INCARNATION_JUMP_MAX, INCARNATION_MAX, Status

OWN = 100


def table(**config: int) -> Table:
    return Table(GossipConfig(**config), own_name="me")


def alive(incarnation: int = 5, replica: int = 1, name: str = "", host: str = "h") -> Alive:
    return Alive(replica, incarnation, name or f"n{replica}", host, 1000, b"")


def hear(table: Table, claim: Claim, now_ms: int = 0) -> Verdict:
    if isinstance(claim, Alive):
        return table.hear_alive(claim, OWN, now_ms)
    return table.hear_accusation(claim, OWN, now_ms)


def standing(table: Table, replica: int = 1) -> tuple[int, Status]:
    member = table.get(replica)
    assert member is not None
    return member.incarnation, member.status


@pytest.mark.parametrize(
    ("held", "claim", "verdict", "after"),
    [
        (alive(5), alive(5), Verdict.KNOWN, (5, Status.ALIVE)),
        (alive(5), alive(4), Verdict.STALE, (5, Status.ALIVE)),
        (alive(5), alive(6), Verdict.NEWS, (6, Status.ALIVE)),
        (alive(5), Suspect(1, 4, 9), Verdict.STALE, (5, Status.ALIVE)),
        (alive(5), Suspect(1, 5, 9), Verdict.NEWS, (5, Status.SUSPECT)),
        (alive(5), Suspect(1, 6, 9), Verdict.NEWS, (6, Status.SUSPECT)),
        (alive(5), Dead(1, 5, 9), Verdict.NEWS, (5, Status.DEAD)),
        (alive(5), Dead(1, 4, 9), Verdict.STALE, (5, Status.ALIVE)),
        (alive(5), Left(1, 5), Verdict.NEWS, (5, Status.LEFT)),
        (Suspect(1, 5, 9), alive(5), Verdict.STALE, (5, Status.SUSPECT)),
        (Suspect(1, 5, 9), alive(6), Verdict.NEWS, (6, Status.ALIVE)),
        (Suspect(1, 5, 9), Suspect(1, 5, 8), Verdict.KNOWN, (5, Status.SUSPECT)),
        (Suspect(1, 5, 9), Suspect(1, 6, 8), Verdict.NEWS, (6, Status.SUSPECT)),
        (Dead(1, 5, 9), alive(5), Verdict.STALE, (5, Status.DEAD)),
        (Dead(1, 5, 9), alive(6), Verdict.NEWS, (6, Status.ALIVE)),
        (Dead(1, 5, 9), Suspect(1, 5, 9), Verdict.STALE, (5, Status.DEAD)),
        (Dead(1, 5, 9), Suspect(1, 6, 9), Verdict.UNKNOWN, (5, Status.DEAD)),
        (Dead(1, 5, 9), Dead(1, 7, 9), Verdict.NEWS, (7, Status.DEAD)),
        (Dead(1, 5, 9), Left(1, 5), Verdict.NEWS, (5, Status.LEFT)),
        (Left(1, 5), Dead(1, 5, 9), Verdict.STALE, (5, Status.LEFT)),
        (Left(1, 5), alive(5), Verdict.STALE, (5, Status.LEFT)),
        (Left(1, 5), alive(6), Verdict.NEWS, (6, Status.ALIVE)),
    ],
)
def test_the_order_of_claims(
    held: Claim, claim: Claim, verdict: Verdict, after: tuple[int, Status]
) -> None:
    t = table()
    hear(t, alive(5))
    hear(t, held)
    assert hear(t, claim) is verdict
    assert standing(t) == after


def test_the_order_of_arrival_does_not_matter() -> None:
    claims = [alive(6), Suspect(1, 5, 9), Dead(1, 5, 9), Suspect(1, 6, 9), Dead(1, 6, 8)]
    ends = set()
    for order in permutations(claims):
        t = table()
        hear(t, alive(5))
        for claim in order:
            hear(t, claim)
        ends.add(standing(t))
    assert ends == {(6, Status.DEAD)}


def test_an_accusation_of_a_stranger_is_no_news() -> None:
    assert hear(table(), Dead(1, 5, 9)) is Verdict.UNKNOWN


@pytest.mark.parametrize("claim", [alive, lambda n: Suspect(1, n, 9), lambda n: Dead(1, n, 9)])
def test_an_implausible_incarnation_is_refused(claim: object) -> None:
    t = table()
    hear(t, alive(5))
    assert callable(claim)
    assert hear(t, claim(OWN + INCARNATION_JUMP_MAX + 1)) is Verdict.IMPLAUSIBLE
    assert standing(t) == (5, Status.ALIVE)
    assert hear(t, claim(OWN + INCARNATION_JUMP_MAX)) is Verdict.NEWS


def test_incarnations_end_where_a_refutation_still_fits() -> None:
    assert plausible(INCARNATION_MAX, INCARNATION_MAX)
    assert not plausible(INCARNATION_MAX + 1, INCARNATION_MAX)


def test_a_name_belongs_to_the_living() -> None:
    t = table()
    hear(t, alive(replica=1, name="x"))
    assert hear(t, alive(replica=2, name="x")) is Verdict.CONFLICT
    hear(t, Suspect(1, 5, 9))
    assert hear(t, alive(replica=2, name="x")) is Verdict.CONFLICT
    assert t.get(2) is None


@pytest.mark.parametrize("end", [Dead(1, 5, 9), Left(1, 5)])
def test_a_name_of_the_gone_is_free(end: Claim) -> None:
    t = table()
    hear(t, alive(replica=1, name="x"))
    hear(t, end)
    assert hear(t, alive(replica=2, name="x")) is Verdict.NEWS
    assert t.get(1) is None


def test_our_own_name_is_ours() -> None:
    assert hear(table(), alive(name="me")) is Verdict.CONFLICT


def test_a_member_may_change_its_own_name() -> None:
    t = table()
    hear(t, alive(5, name="x"))
    assert hear(t, alive(6, name="y")) is Verdict.NEWS
    assert hear(t, alive(5, replica=2, name="x")) is Verdict.NEWS


def test_a_full_table_makes_room_only_at_the_cost_of_the_dead() -> None:
    t = table(members_max=3)
    assert hear(t, alive(replica=1)) is Verdict.NEWS
    assert hear(t, alive(replica=2)) is Verdict.NEWS
    assert hear(t, alive(replica=3)) is Verdict.FULL
    hear(t, Dead(1, 5, 9))
    assert hear(t, alive(replica=3)) is Verdict.NEWS
    assert t.get(1) is None
    assert len(t) == 2


def test_the_dead_are_told_news_for_a_while_and_then_forgotten() -> None:
    t = table(dead_gossip_ms=100, dead_forget_ms=1000)
    hear(t, alive(), now_ms=0)
    hear(t, Dead(1, 5, 9), now_ms=50)
    assert [m.replica for m in t.told(149)] == [1]
    assert t.told(150) == []
    assert t.next_forget_ms() == 1050
    assert t.forget_dead(1049) == []
    assert [m.replica for m in t.forget_dead(1050)] == [1]
    assert hear(t, alive(replica=2, name="n1")) is Verdict.NEWS


def test_those_who_left_are_left_alone() -> None:
    t = table()
    hear(t, alive())
    hear(t, Left(1, 5))
    assert t.told(0) == []


@pytest.mark.parametrize("claim", [alive(), Suspect(1, 5, 77), Dead(1, 5, 77), Left(1, 5)])
def test_a_row_can_be_told_as_the_claim_it_came_from(claim: Claim) -> None:
    t = table()
    hear(t, alive())
    hear(t, claim)
    assert t.claim_held(1, teller=77) == claim
    assert t.claim_held(2, teller=77) is None
    member = t.get(1)
    assert member is not None
    assert claim_of(member, 77) == claim
