"""Codes: good once, for whom they were made, for their time; device codes wait for a user."""

from functools import partial

import msgspec
import pytest

from storage import accounts
from storage import oauth_rows as rows_of
from storage.codes import (
    CODES_MAX,
    DEVICES_MAX,
    EXPIRED_TOLD_MS,
    USER_CODE_LETTERS,
    Asked,
    Polled,
    RevokedMeanwhile,
    TooManyDevices,
    find_device,
    plan_approve,
    plan_code,
    plan_deny,
    plan_device,
    plan_expire,
    plan_failure,
    plan_poll,
    plan_redeem,
)
from storage.due import list_due
from storage.grants import (
    FORGIVEN_MS,
    Issued,
    Terms,
    list_grants,
    plan_refresh,
    prove_access,
    revocations,
)
from storage.ids import AccountId
from storage.oauth_rows import Kind
from tests.fakes import FakeHouse, make_house

TERMS = Terms(access_ms=3_600_000, refresh_ms=30 * 86_400_000)
CODE_MS = 600_000
USER_CODE_MS = 1_800_000
ASKED = Asked("bird", "Bird", ("mail",))
BACK = "org.example:/done"


class Story:
    """Alice, a client and codes."""

    def __init__(self) -> None:
        self.house: FakeHouse = make_house({"alice@example.org": "secret"})
        self.alice = self.house.accounts["alice@example.org"]

    def code(self, revoked: int | None = None) -> str:
        """Alice says yes to a client."""
        return self.house.run(
            lambda plan: plan_code(
                plan,
                self.alice,
                ASKED,
                redirect_uri=BACK,
                challenge="proof",
                code_ms=CODE_MS,
                revoked=self.revoked() if revoked is None else revoked,
            )
        )

    def revoked(self) -> int:
        """What she had revoked by now."""
        return revocations(self.house.engine, self.alice)

    def redeem(
        self, code: str, client: str = "bird", uri: str = BACK, challenge: str = "proof"
    ) -> Issued | None:
        """Tokens for a code."""
        redeem = partial(
            plan_redeem, client=client, redirect_uri=uri, challenge=challenge, terms=TERMS
        )
        return self.house.run(lambda plan: redeem(plan, code))

    def device(self, site: str = "") -> tuple[str, str]:
        """A device begins."""
        return self.house.run(
            lambda plan: plan_device(plan, ASKED, user_code_ms=USER_CODE_MS, site=site)
        )

    def approve(self, letters: str) -> bool:
        """Alice says yes to a device."""
        return self.house.run(
            lambda plan: plan_approve(
                plan, letters, self.alice, code_ms=CODE_MS, revoked=self.revoked()
            )
        )

    def poll(self, token: str, client: str = "bird") -> Issued | Polled:
        """The device asks."""
        return self.house.run(lambda plan: plan_poll(plan, token, client=client, terms=TERMS))

    def fail(self, letters: str) -> int:
        """A wrong password."""
        return self.house.run(lambda plan: plan_failure(plan, letters, failures_max=3))

    def waits(self, letters: str) -> bool:
        """Does a device wait for a user with these letters."""
        return find_device(self.house.engine, letters, self.house.clock.now_ms()) is not None

    def proves(self, issued: Issued) -> bool:
        """Is its access token good."""
        now_ms = self.house.clock.now_ms()
        return prove_access(self.house.engine, issued.access_token, now_ms) is not None

    def expire(self) -> None:
        """Do what is due."""
        for each, _ in list_due(self.house.engine, self.house.clock.now_ms(), limit=10_000):
            self.house.run(lambda plan, each=each: plan_expire(plan, each))

    def rows(self, *kinds: Kind) -> int:
        """How many rows of these kinds there are."""
        return sum(len(self.house.engine.scan(*rows_of.row_range(kind))) for kind in kinds)


@pytest.fixture
def story() -> Story:
    return Story()


# --- authorization codes


def test_a_code_gives_tokens_once_and_a_second_use_takes_them_back(story: Story) -> None:
    code = story.code()
    issued = story.redeem(code)
    assert issued is not None and issued.scopes == ("mail",) and story.proves(issued)
    assert story.redeem(code) is None
    assert not story.proves(issued) and list_grants(story.house.engine, story.alice) == []


def test_a_code_is_for_who_asked_for_it_as_it_asked(story: Story) -> None:
    code = story.code()
    assert story.redeem(code, client="cat") is None
    assert story.redeem(code, uri=BACK + "/") is None
    assert story.redeem(code, challenge="other") is None
    assert story.redeem(code, challenge="") is None
    other = code[:-1] + ("A" if code[-1] != "A" else "B")
    assert story.redeem(other) is None and story.redeem("tra_" + code[4:]) is None
    assert story.redeem(code) is not None


def test_a_code_is_good_for_its_time(story: Story) -> None:
    late, in_time = story.code(), story.code()
    story.house.clock.pass_s(CODE_MS / 1000 - 0.001)
    assert story.redeem(in_time) is not None
    story.house.clock.pass_s(0.001)
    assert story.redeem(late) is None  # before anybody has deleted it
    story.expire()
    assert story.rows(Kind.CODE) == 0 and story.rows(Kind.GRANT) == 1


def test_an_account_has_so_many_codes(story: Story) -> None:
    first = story.code()
    story.house.clock.pass_s(1)
    codes = [story.code() for _ in range(CODES_MAX)]
    assert story.rows(Kind.CODE) == CODES_MAX
    assert story.redeem(first) is None and story.redeem(codes[0]) is not None


def test_a_changed_password_ends_codes_too(story: Story) -> None:
    before, code = story.revoked(), story.code()
    story.house.run(lambda plan: accounts.plan_set_password(plan, story.alice, "new"))
    assert story.redeem(code) is None
    with pytest.raises(RevokedMeanwhile):
        story.code(revoked=before)  # proved by the password that was
    assert story.redeem(story.code()) is not None


# --- device codes


def test_a_device_gets_its_tokens_when_its_user_has_said_yes(story: Story) -> None:
    token, letters = story.device()
    assert len(letters) == 8 and set(letters) <= set(USER_CODE_LETTERS)
    assert story.poll(token) is Polled.PENDING and story.waits(letters)
    assert story.approve(letters) and not story.approve(letters) and not story.waits(letters)
    assert story.poll(token, "cat") is Polled.UNKNOWN
    issued = story.poll(token)
    assert isinstance(issued, Issued) and story.proves(issued)
    story.house.clock.pass_s(FORGIVEN_MS / 1000)
    assert story.poll(token) is Polled.UNKNOWN and not story.proves(issued)


def test_a_device_that_heard_no_answer_asks_again_and_what_that_had_told_is_revoked(
    story: Story,
) -> None:
    token, letters = story.device()
    assert story.approve(letters)
    lost = story.poll(token)
    story.house.clock.pass_s(FORGIVEN_MS / 1000 - 0.001)
    heard = story.poll(token)
    assert isinstance(lost, Issued) and isinstance(heard, Issued)
    assert not story.proves(lost) and story.proves(heard)
    assert len(list_grants(story.house.engine, story.alice)) == 1
    # Who has gone on with what he was told has heard it.
    refresh = partial(plan_refresh, client="bird", scopes=(), terms=TERMS)
    assert story.house.run(lambda plan: refresh(plan, heard.refresh_token))
    assert story.poll(token) is Polled.UNKNOWN
    assert not list_grants(story.house.engine, story.alice)


def test_a_device_is_told_no(story: Story) -> None:
    token, letters = story.device()
    assert story.house.run(lambda plan: plan_deny(plan, letters))
    assert story.poll(token) is Polled.DENIED and not story.waits(letters)
    assert not story.house.run(lambda plan: plan_deny(plan, letters))


def test_a_device_code_expires_and_that_is_told(story: Story) -> None:
    token, letters = story.device()
    story.house.clock.pass_s(USER_CODE_MS / 1000 - 0.001)
    assert story.poll(token) is Polled.PENDING
    story.house.clock.pass_s(0.001)
    assert story.poll(token) is Polled.EXPIRED and not story.approve(letters)
    story.expire()
    assert story.poll(token) is Polled.EXPIRED
    story.house.clock.pass_s(EXPIRED_TOLD_MS / 1000)
    story.expire()
    assert story.poll(token) is Polled.UNKNOWN
    assert story.rows(Kind.DEVICE, Kind.USER_CODE) == 0


def test_yes_at_the_last_moment_leaves_the_device_time_to_ask(story: Story) -> None:
    token, letters = story.device()
    story.house.clock.pass_s(USER_CODE_MS / 1000 - 1)
    assert story.approve(letters)
    story.house.clock.pass_s(CODE_MS / 1000 - 1)
    assert isinstance(story.poll(token), Issued)


def test_after_three_wrong_passwords_the_user_code_is_dead(story: Story) -> None:
    token, letters = story.device()
    assert [story.fail(letters) for _ in range(4)] == [2, 1, 0, 0]
    assert story.poll(token) is Polled.DENIED and not story.approve(letters)


def test_a_password_changed_after_the_yes_denies_the_device(story: Story) -> None:
    token, letters = story.device()
    assert story.approve(letters)
    story.house.run(lambda plan: accounts.plan_set_password(plan, story.alice, "new"))
    assert story.poll(token) is Polled.DENIED
    before = story.revoked()
    story.house.run(lambda plan: accounts.plan_set_password(plan, story.alice, "newer"))
    _, letters = story.device()
    with pytest.raises(RevokedMeanwhile):
        story.house.run(
            lambda plan: plan_approve(plan, letters, story.alice, code_ms=1, revoked=before)
        )


def test_what_stands_behind_a_device_cannot_be_redeemed_as_a_code(story: Story) -> None:
    _, letters = story.device()
    assert story.approve(letters)
    ((key, _),) = story.house.engine.scan(*rows_of.row_range(Kind.CODE))
    account, number = rows_of.unpack_pair(key)
    assert account == story.alice != AccountId(0)
    forged = rows_of.render_token(rows_of.CODE, (account, number), bytes(32))
    assert story.redeem(forged, uri="", challenge="") is None


def test_devices_that_wait_are_bounded(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    assert DEVICES_MAX == 1_000
    monkeypatch.setattr("storage.codes.DEVICES_MAX", 2)
    story.device()
    story.device()
    with pytest.raises(TooManyDevices):
        story.device()
    story.house.clock.pass_s((USER_CODE_MS + EXPIRED_TOLD_MS) / 1000)
    story.expire()
    assert story.device()


def test_who_takes_all_devices_locks_out_himself_alone(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.codes.DEVICES_MAX", 4)
    flood = []
    for _ in range(4):
        flood.append(story.device("stranger"))
        story.house.clock.pass_s(1)
    let_in, *flood = flood
    assert story.approve(let_in[1])
    with pytest.raises(TooManyDevices):
        story.device("stranger")
    one, other = story.device("home"), story.device("office")
    assert [story.waits(letters) for _, letters in flood] == [False, False, True]
    assert story.waits(one[1]) and story.waits(other[1])
    assert isinstance(story.poll(let_in[0]), Issued)  # what waits for its user went first
    # He has as many as may be without being more than his share; nobody pushes the others out.
    for site in ("stranger", "home"):
        with pytest.raises(TooManyDevices):
            story.device(site)
    assert story.approve(story.device("another")[1])
    assert story.waits(one[1]) and story.waits(other[1])


def test_a_device_of_before_sites_were_kept_is_read(story: Story) -> None:
    _, letters = story.device("home")
    [(key, held)] = story.house.engine.scan(*rows_of.row_range(Kind.DEVICE))
    before = msgspec.msgpack.encode(msgspec.msgpack.decode(held)[:-1])
    story.house.run(lambda plan: plan.put(key, before))
    assert story.waits(letters) and story.approve(letters)


def test_letters_are_never_of_two_devices(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(["BBBBBBBB", "BBBBBBBB", "CCCCCCCC", "BBBBBBBB"])
    monkeypatch.setattr("storage.codes.draw_user_code", lambda plan: next(drawn))
    first, second = story.device(), story.device()
    assert [first[1], second[1]] == ["BBBBBBBB", "CCCCCCCC"]
    # The letters of one that was let in are free; its end does not take them from the next.
    assert story.approve("BBBBBBBB")
    story.house.clock.pass_s(1_000)
    third = story.device()
    assert third[1] == "BBBBBBBB"
    story.house.clock.pass_s(1_500)
    story.expire()
    assert story.waits("BBBBBBBB") and not story.waits("CCCCCCCC")


def test_what_are_no_letters_finds_nothing(story: Story) -> None:
    story.device()
    for letters in ("", "BBBB", "AAAAAAAA", "bbbbbbbb", "B" * 9, "BBBBBBBé"):
        assert not story.waits(letters)
