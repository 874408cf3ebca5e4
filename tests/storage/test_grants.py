"""Grants: tokens good for their time, refresh tokens good once, and what takes them back."""

from functools import partial

import pytest

from storage import accounts
from storage import oauth_rows as rows_of
from storage.clients import plan_register
from storage.codes import plan_expire
from storage.due import list_due
from storage.grants import (
    ACCESS_MAX,
    CLIENT_LONGER_MS,
    FORGIVEN_MS,
    GRANTS_MAX,
    REFRESH_MAX,
    Access,
    Issued,
    ScopesTooWide,
    Terms,
    get_grant,
    list_grants,
    plan_grant,
    plan_refresh,
    plan_revoke,
    plan_revoke_all,
    plan_revoke_token,
    prove_access,
    stands,
)
from storage.ids import AccountId
from storage.keys import TypeCode
from storage.oauth_rows import Client, Kind
from tests.fakes import FakeHouse, make_house

TERMS = Terms(access_ms=3_600_000, refresh_ms=30 * 86_400_000)
MAIL = ("mail", "offline")


class Story:
    """Alice's grants in a house."""

    def __init__(self) -> None:
        self.house: FakeHouse = make_house({"alice@example.org": "secret"})
        self.alice = self.house.accounts["alice@example.org"]

    def grant(self, account: AccountId | None = None, client: str = "bird") -> Issued:
        """Let a client in."""
        give = partial(plan_grant, client=client, client_name="Bird", scopes=MAIL, terms=TERMS)
        return self.house.run(lambda plan: give(plan, account or self.alice))

    def refresh(self, token: str, client: str = "bird", *scopes: str) -> Issued | None:
        """New tokens."""
        return self.house.run(
            lambda plan: plan_refresh(plan, token, client=client, scopes=scopes, terms=TERMS)
        )

    def renewed(self, token: str) -> Issued:
        """New tokens, which there are."""
        issued = self.refresh(token)
        assert issued is not None
        return issued

    def revoke(self, token: str, client: str = "bird") -> bool:
        """RFC 7009."""
        return self.house.run(lambda plan: plan_revoke_token(plan, token, client=client))

    def proves(self, issued: Issued) -> bool:
        """Is its access token good now."""
        return self.access(issued.access_token) is not None

    def access(self, token: str) -> Access | None:
        """What a token lets its bearer do."""
        return prove_access(self.house.engine, token, self.house.clock.now_ms())

    def expire(self) -> int:
        """Do what is due; how much was."""
        due = list_due(self.house.engine, self.house.clock.now_ms(), limit=200)
        for each, _ in due:
            self.house.run(lambda plan, each=each: plan_expire(plan, each))
        return len(due)

    def rows(self, *kinds: Kind) -> int:
        """How many rows of these kinds there are."""
        return sum(len(self.house.engine.scan(*rows_of.row_range(kind))) for kind in kinds)


@pytest.fixture
def story() -> Story:
    return Story()


def test_what_a_token_opened_stands_until_it_is_taken_back(story: Story) -> None:
    lone, granted = story.grant(), story.grant()
    opened = [story.access(issued.access_token) for issued in (lone, granted)]

    def standing() -> list[bool]:
        rows, now_ms = story.house.view(), story.house.clock.now_ms()
        return [access is not None and stands(rows, access, now_ms) for access in opened]

    story.house.clock.pass_s(3600)
    assert standing() == [True, True] and not story.proves(lone)  # over, and not taken back
    story.house.clock.pass_s(-1)
    assert story.revoke(lone.access_token)
    assert standing() == [False, True]
    assert story.revoke(granted.refresh_token)
    assert standing() == [False, False]


def test_an_access_token_is_good_for_its_time(story: Story) -> None:
    issued = story.grant()
    ends_ms = story.house.clock.now_ms() + TERMS.access_ms
    access = story.access(issued.access_token)
    assert access is not None
    assert access == Access(story.alice, "bird", MAIL, ends_ms, issued.grant, access.digest)
    story.house.clock.pass_s(3600 - 0.001)
    assert story.proves(issued)
    story.house.clock.pass_s(0.001)
    assert not story.proves(issued)


def test_what_is_no_access_token_proves_nothing(story: Story) -> None:
    issued = story.grant()
    good = issued.access_token
    other = "A" if good[-1] != "A" else "B"
    for token in (
        "",
        good[:-1],
        good + "A",
        good[:-1] + other,
        good.upper(),
        "trr_" + good[4:],
        issued.refresh_token,
        "tra_" + issued.refresh_token[4:68],
        "tra_" + "é" * 64,
        "tra_" + "+" * 64,
        good[:-2] + "==",
        "tra_" + "/" * 63 + "\n",
    ):
        assert story.access(token) is None, token
    assert story.proves(issued)


def test_rows_keep_no_secret(story: Story) -> None:
    issued = story.grant()
    held = b"".join(value for _, value in story.house.engine.scan(b"\x00", b"\xff"))
    for word, token in (
        (rows_of.ACCESS, issued.access_token),
        (rows_of.REFRESH, issued.refresh_token),
    ):
        parsed = rows_of.parse_token(word, token)
        assert parsed is not None and parsed[0] == (story.alice, issued.grant)
        for secret in parsed[1]:
            assert len(secret) == 32 and secret not in held and token.encode() not in held


def test_a_refresh_token_is_spent_for_new_tokens(story: Story) -> None:
    first = story.grant()
    second = story.renewed(first.refresh_token)
    assert second.grant == first.grant and second.refresh_token != first.refresh_token
    assert story.proves(first) and story.proves(second)  # each for its own time
    assert story.refresh(second.access_token) is None
    assert story.refresh(second.refresh_token, "cat") is None  # another client's
    assert story.renewed(second.refresh_token).grant == first.grant


def test_an_answer_that_was_lost_is_asked_for_again(story: Story) -> None:
    first = story.grant()
    lost = story.renewed(first.refresh_token)
    story.house.clock.pass_s(FORGIVEN_MS / 1000 - 0.001)
    again = story.renewed(first.refresh_token)
    assert story.proves(lost) and story.proves(again)
    # Which of the two answers reached the client is not known, so either goes on.
    assert story.renewed(lost.refresh_token).grant == first.grant


def test_a_spent_refresh_token_that_comes_back_later_ends_the_grant(story: Story) -> None:
    first = story.grant()
    second = story.renewed(first.refresh_token)
    story.house.clock.pass_s(FORGIVEN_MS / 1000)
    assert story.refresh(first.refresh_token) is None
    assert get_grant(story.house.engine, story.alice, first.grant) is None
    assert not story.proves(second) and story.refresh(second.refresh_token) is None


def test_the_one_before_the_one_spent_last_is_not_forgiven(story: Story) -> None:
    first = story.grant()
    third = story.renewed(story.renewed(first.refresh_token).refresh_token)
    assert story.refresh(first.refresh_token) is None and not story.proves(third)


def test_programs_of_one_client_may_ask_at_once_time_and_again(story: Story) -> None:
    first = story.grant()
    held = [story.renewed(first.refresh_token) for _ in range(REFRESH_MAX)]
    for _ in range(2):
        story.house.clock.pass_s(3600)
        held = [story.renewed(each.refresh_token) for each in held]
        assert all(story.proves(each) for each in held)


def test_of_two_good_refresh_tokens_the_one_left_behind_ends_the_grant_later(story: Story) -> None:
    first = story.grant()
    stolen, own = (story.renewed(first.refresh_token) for _ in range(2))
    next_one = story.renewed(own.refresh_token)
    story.house.clock.pass_s(FORGIVEN_MS / 1000)
    assert story.refresh(stolen.refresh_token) is None and not story.proves(next_one)


def test_a_stranger_who_knows_the_number_of_a_grant_cannot_end_it(story: Story) -> None:
    issued = story.grant()
    forged = rows_of.render_token(
        rows_of.REFRESH, (story.alice, issued.grant), b"f" * 32, b"s" * 32
    )
    assert story.refresh(forged) is None and not story.revoke(forged)
    forged = rows_of.render_token(rows_of.ACCESS, (story.alice, issued.grant), b"s" * 32)
    assert not story.revoke(forged) and story.proves(issued)


def test_good_tokens_of_one_grant_are_few(story: Story) -> None:
    first = story.grant()
    issued = [first]
    for _ in range(ACCESS_MAX):
        issued.append(story.renewed(issued[-1].refresh_token))
    assert ACCESS_MAX == REFRESH_MAX == 8
    assert [story.proves(each) for each in issued] == [False] + [True] * ACCESS_MAX
    lost = [story.renewed(issued[-1].refresh_token) for _ in range(REFRESH_MAX + 1)]
    grant = get_grant(story.house.engine, story.alice, first.grant)
    assert grant is not None and len(grant.refresh) == REFRESH_MAX
    assert story.renewed(lost[-1].refresh_token)


def test_scopes_may_be_narrowed_and_never_widened(story: Story) -> None:
    first = story.grant()
    narrow = story.refresh(first.refresh_token, "bird", "mail")
    assert narrow is not None and narrow.scopes == ("mail",)
    access = story.access(narrow.access_token)
    assert access is not None and access.scopes == ("mail",)
    with pytest.raises(ScopesTooWide):
        story.refresh(narrow.refresh_token, "bird", "mail", "all")
    assert story.renewed(narrow.refresh_token).scopes == MAIL


def test_a_grant_ends_when_it_is_long_unused(story: Story) -> None:
    issued = story.grant()
    story.house.clock.pass_s(29 * 86_400)
    issued = story.renewed(issued.refresh_token)
    story.house.clock.pass_s(2 * 86_400)
    assert story.expire() == 0 and get_grant(story.house.engine, story.alice, issued.grant)
    story.house.clock.pass_s(28 * 86_400)
    assert story.refresh(issued.refresh_token) is None  # before anybody has deleted it
    assert story.expire() == 1 and story.rows(Kind.GRANT) == 0
    assert story.expire() == 0


def test_an_account_has_so_many_grants_and_the_longest_unused_goes(story: Story) -> None:
    first, second = story.grant(), story.grant()
    story.house.clock.pass_s(1)
    first = story.renewed(first.refresh_token)
    for _ in range(GRANTS_MAX - 1):
        story.house.clock.pass_s(1)
        last = story.grant()
    assert [story.proves(each) for each in (first, second, last)] == [True, False, True]
    listed = list_grants(story.house.engine, story.alice)
    assert len(listed) == GRANTS_MAX and listed[0][0] == last.grant
    assert story.rows(Kind.GRANT) == GRANTS_MAX
    story.house.clock.pass_s(31 * 86_400)
    assert story.expire() == GRANTS_MAX  # one that made room leaves nothing to do


def test_a_token_is_revoked_by_its_client(story: Story) -> None:
    issued = story.grant()
    other = story.grant()
    assert not story.revoke(issued.access_token, "cat") and story.proves(issued)
    second = story.renewed(issued.refresh_token)
    assert story.revoke(issued.access_token) and not story.revoke(issued.access_token)
    assert not story.proves(issued) and story.proves(second)
    assert not story.revoke(second.refresh_token, "cat") and story.proves(second)
    assert story.revoke(second.refresh_token) and not story.revoke(second.refresh_token)
    assert not story.proves(second) and story.refresh(second.refresh_token) is None
    assert not story.revoke("garbage") and story.proves(other)


def test_a_spent_refresh_token_may_still_be_revoked(story: Story) -> None:
    first = story.grant()
    second = story.renewed(first.refresh_token)
    assert story.revoke(first.refresh_token) and not story.proves(second)


def test_whoever_listens_to_the_account_hears_of_a_revocation(story: Story) -> None:
    issued = story.grant()
    with story.house.news.watch([story.alice]) as watch:
        story.house.run(lambda plan: plan_revoke(plan, story.alice, issued.grant))
        _, types = watch.take()[story.alice]
    assert types == TypeCode.GRANT.bit


def test_a_changed_password_ends_all_and_nobody_elses(story: Story) -> None:
    bob = story.house.add_account("bob@example.org", "secret")
    mine, also_mine, his = story.grant(), story.grant(client="cat"), story.grant(bob)
    story.house.run(lambda plan: accounts.plan_set_password(plan, story.alice, "new"))
    assert [story.proves(each) for each in (mine, also_mine, his)] == [False, False, True]
    assert list_grants(story.house.engine, story.alice) == []
    assert story.house.run(lambda plan: plan_revoke_all(plan, bob)) == 1
    assert story.rows(Kind.GRANT) == 0


def test_a_grant_made_at_the_same_time_elsewhere_does_not_outlive_a_changed_password(
    story: Story,
) -> None:
    changing, giving = story.house.plan(), story.house.plan()
    give = partial(plan_grant, client="bird", client_name="Bird", scopes=MAIL, terms=TERMS)
    with changing.command():
        plan_revoke_all(changing, story.alice)
    with giving.command():
        give(giving, story.alice)
    first = story.house.propose(giving, ())
    second = story.house.propose(changing, ())
    assert [first.outcome.name, second.outcome.name] == ["APPLIED", "CONFLICT"]


def test_a_client_that_was_let_in_stays_longer_than_its_tokens(story: Story) -> None:
    client = story.house.run(
        lambda plan: plan_register(
            plan, name="Bird", uri="", redirect_uris=(), scopes=MAIL, more=b""
        )
    )
    issued = story.grant(client=client)
    held = rows_of.get(story.house.engine, Kind.CLIENT, client.encode(), Client)
    now_ms = story.house.clock.now_ms()
    assert held is not None and held.proven
    assert held.ends_ms == now_ms + TERMS.refresh_ms + CLIENT_LONGER_MS
    story.house.clock.pass_s(3600)
    story.house.run(
        lambda plan: plan_refresh(plan, issued.refresh_token, client=client, scopes=(), terms=TERMS)
    )
    assert rows_of.get(story.house.engine, Kind.CLIENT, client.encode(), Client) == held
    story.house.clock.pass_s(32 * 86_400)
    assert story.expire() == 2 and story.rows(Kind.CLIENT, Kind.UNPROVEN, Kind.GRANT) == 0
    assert not list_due(story.house.engine, 2**60, limit=1)
