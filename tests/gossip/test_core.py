"""What a node answers to what it hears."""

from random import Random

from gossip.config import SEAL_BYTES_MAX, GossipConfig
from gossip.core import CONFLICTS_MAX, Core
from gossip.effects import Exchange, Send
from gossip.identity import Identity
from gossip.messages import (
    Ack,
    Alive,
    Claim,
    Dead,
    Left,
    Message,
    Ping,
    PingReq,
    PushPull,
    Record,
    Suspect,
)
from gossip.model import INCARNATION_JUMP_MAX, Address, Change, Status
from gossip.suspicion import APPEALS
from gossip.wire import pack

CONFIG = GossipConfig(probe_interval_ms=1_000, probe_timeout_ms=500)  # round numbers
ME = Identity(1, "me", "h1", 1000, b"meta")
BORN = 1_000_000
SOMEONE = ("h2", 1000)


def alive(n: int, incarnation: int = 5) -> Alive:
    return Alive(n, incarnation, f"n{n}", f"h{n}", 1000, b"")


class Story:
    """One core, its clock, and its neighbours by number."""

    def __init__(self, *neighbours: int, seeds: tuple[Address, ...] = ()) -> None:
        self.now_ms = 0
        self.core = Core(
            CONFIG, ME, incarnation=BORN, seeds=seeds, chance=Random(1), now_ms=self.now_ms
        )
        self.hear(*map(alive, neighbours))
        self.core.take_effects()
        self.core.take_events()

    def hear(self, *messages: Message, source: Address = SOMEONE) -> list[Send]:
        """Packets sent in answer."""
        self.core.hear_packet(source, messages, self.now_ms)
        return [e for e in self.core.take_effects() if isinstance(e, Send)]

    def run(self, duration_ms: int) -> list[Send | Exchange]:
        """All effects of a time in which nobody speaks to us."""
        effects: list[Send | Exchange] = []
        end_ms = self.now_ms + duration_ms
        while (due_ms := max(self.core.next_deadline_ms(), self.now_ms + 1)) <= end_ms:
            self.now_ms = due_ms
            self.core.tick(self.now_ms)
            effects += self.core.take_effects()
        self.now_ms = end_ms
        return effects

    def news(self, duration_ms: int = 1_000) -> set[Claim]:
        """Claims told in the time to come."""
        sends = [e for e in self.run(duration_ms) if isinstance(e, Send)]
        return {
            m for s in sends for m in s.messages if isinstance(m, Alive | Suspect | Dead | Left)
        }

    def changes(self) -> list[tuple[Change, int]]:
        return [(e.change, e.member.replica) for e in self.core.take_events()]

    def status(self, n: int) -> Status | None:
        members = self.core.members(self.now_ms)
        return next((m.status for m in members if m.replica == n), None)


def test_a_ping_is_answered_where_it_came_from() -> None:
    (answer,) = Story(2).hear(Ping(7, 2, 1), source=("elsewhere", 5))
    assert answer.to == ("elsewhere", 5)
    assert answer.messages[0] == Ack(7, 1)


def test_a_ping_for_another_replica_is_not() -> None:
    story = Story(2)
    assert story.hear(Ping(7, 2, 55)) == []
    assert story.core.counts["pings_for_another"] == 1


def test_one_held_dead_that_pings_us_is_told_so() -> None:
    story = Story(2)
    story.hear(Dead(2, 5, 9))
    (answer,) = story.hear(Ping(7, 2, 1))
    assert answer.messages[:2] == (Ack(7, 1), Dead(2, 5, 1))


def test_an_accusation_is_refuted_above_its_incarnation() -> None:
    story = Story(2, 3)
    story.hear(Suspect(1, BORN + 10, 2))
    assert story.core.own.incarnation == BORN + 11
    assert alive_of(story) in story.news()
    assert story.core.awareness.score == 1


def alive_of(story: Story) -> Alive:
    return Alive(1, story.core.own.incarnation, "me", "h1", 1000, b"meta")


def test_an_accuser_hears_the_objection_at_once() -> None:
    """Rumour would bring it as well, but for the one in a hundred thousand whom it passes by."""
    story = Story(2, 3)
    (answer,) = story.hear(Suspect(1, BORN, 3), source=("h3", 1000))
    assert answer.to == ("h3", 1000) and answer.messages[0] == alive_of(story)


def test_an_old_accusation_is_answered_with_what_was_said_to_it() -> None:
    story = Story(2, 3)
    for claim in (Dead(1, BORN - 1, 2), Suspect(1, BORN - 1, 2)):
        (answer,) = story.hear(claim, source=("h3", 1000))
        assert answer.to == ("h3", 1000) and answer.messages[0] == alive_of(story)
    assert story.hear(Left(1, BORN - 1)) == []
    assert story.core.own.incarnation == BORN


def test_even_a_goodbye_we_never_said_is_refuted() -> None:
    story = Story(2)
    story.hear(Left(1, BORN))
    assert story.core.own.incarnation == BORN + 1
    assert story.core.awareness.score == 0


def test_an_implausible_accusation_cannot_push_us_to_the_end_of_numbers() -> None:
    story = Story(2)
    story.hear(Dead(1, BORN + INCARNATION_JUMP_MAX + 1, 2), Dead(1, 2**64 - 1, 2))
    assert story.core.own.incarnation == BORN
    assert story.core.counts["claims_implausible"] == 2


def test_our_own_word_from_before_a_restart_is_outbid() -> None:
    story = Story(2)
    story.hear(Alive(1, BORN + 5, "me", "h1", 1000, b"old meta"))
    assert story.core.own.incarnation == BORN + 6
    assert story.changes() == []


def test_a_copy_of_us_elsewhere_is_reported() -> None:
    story = Story(2)
    story.hear(Alive(1, BORN + 5, "me", "elsewhere", 1000, b""))
    assert story.changes() == [(Change.CONFLICT, 1)]


def test_a_stale_word_is_answered_with_what_is_held() -> None:
    story = Story(2, 3)
    story.hear(Dead(3, 100, 9))
    answers = story.hear(alive(3, incarnation=1))
    assert [(a.to, a.messages[0]) for a in answers] == [(("h3", 1000), Dead(3, 100, 1))]


def test_a_stale_word_of_a_living_member_is_answered_only_to_itself() -> None:
    story = Story(2, 3)
    assert story.hear(alive(3, incarnation=1)) == []  # gossip that came late
    answers = story.hear(alive(3, incarnation=1), source=("h3", 1000))
    assert answers[0].messages[0] == alive(3)


def test_news_rides_on_answers_and_fits_the_packet() -> None:
    story = Story(*range(2, 200))
    (answer,) = story.hear(Ping(7, 2, 1))
    assert len(answer.messages) > 10
    assert len(pack(answer.messages)) <= CONFIG.packet_bytes_max - SEAL_BYTES_MAX


def test_a_suspect_is_told_with_every_ping_that_it_is_one() -> None:
    story = Story(2)
    story.news(2_000)  # everything old is told
    story.hear(Suspect(2, 5, 9))
    story.news(1_000)
    pings = [e for e in story.run(2_500) if isinstance(e, Send) and isinstance(e.messages[0], Ping)]
    assert pings
    assert all(Suspect(2, 5, 1) in p.messages for p in pings)
    (relayed,) = story.hear(PingReq(1, 3, 2, "h2", 1000))
    assert Suspect(2, 5, 1) in relayed.messages


def test_a_suspect_that_speaks_is_cleared_and_one_that_does_not_dies() -> None:
    story = Story(2, 3)
    story.hear(Suspect(2, 5, 9), Suspect(3, 5, 9))
    story.hear(alive(2, 6))
    assert story.changes() == [
        (Change.SUSPECTED, 2),
        (Change.SUSPECTED, 3),
        (Change.CLEARED, 2),
    ]
    assert Dead(3, 5, 1) in story.news(CONFIG.suspicion_max_ms(3) + 300)
    assert (Change.DIED, 3) in story.changes()


def test_a_suspect_is_asked_itself_twice_before_it_is_declared_dead() -> None:
    story = Story(2, 3)
    story.hear(Suspect(3, 5, 9))
    effects = story.run(CONFIG.suspicion_max_ms(3) + 300)
    asked = [e for e in effects if isinstance(e, Send) and e.messages[0] == Suspect(3, 5, 1)]
    assert [packet.to for packet in asked] == [("h3", 1000)] * APPEALS
    assert story.status(3) is Status.DEAD


def test_an_old_suspicion_does_not_bury_a_new_incarnation() -> None:
    """daos PR#18635: the timer of the first life must not end the second."""
    story = Story(2, 3, 4, 5)
    story.hear(Suspect(2, 5, 9))
    story.hear(alive(2, 6))
    limit_ms = CONFIG.suspicion_max_ms(5)
    for _ in range(limit_ms // 500):
        story.news(500)
        for n in (2, 3, 4, 5):  # all of them answer
            story.hear(alive(n, story.now_ms + 10))
    assert story.status(2) is Status.ALIVE
    story.run(10)
    assert story.core.next_deadline_ms() > story.now_ms, "a timer that is over still wakes us"


def test_others_that_accuse_too_hasten_the_end() -> None:
    def lived_ms(*accusers: int) -> int:
        story = Story(*range(2, 12))
        story.hear(*(Suspect(2, 5, a) for a in accusers))
        while story.status(2) is not Status.DEAD:
            story.run(10)
            story.hear(*(alive(n, story.now_ms + 10) for n in range(3, 12)))
        return story.now_ms

    assert lived_ms(3) > lived_ms(3, 4) > lived_ms(3, 4, 5)


def test_a_tables_verdict_of_death_is_an_accusation() -> None:
    story = Story(2)
    rows = (Record(2, 5, Status.DEAD, "n2", "h2", 1000, b""),)
    story.core.hear_answer(PushPull(9, rows), 0)
    assert story.status(2) is Status.SUSPECT


def test_a_table_brings_the_living_the_suspect_and_those_who_left() -> None:
    story = Story(4)
    rows = (
        Record(2, 5, Status.ALIVE, "n2", "h2", 1000, b""),
        Record(3, 5, Status.SUSPECT, "n3", "h3", 1000, b""),
        Record(4, 5, Status.LEFT, "n4", "h4", 1000, b""),
        Record(5, 5, Status.DEAD, "n5", "h5", 1000, b""),
        Record(1, BORN, Status.SUSPECT, "me", "h1", 1000, b"meta"),
    )
    answer = story.core.answer_exchange(PushPull(9, rows), 0)
    assert isinstance(answer, PushPull)
    assert [story.status(n) for n in (2, 3, 4, 5)] == [
        Status.ALIVE,
        Status.SUSPECT,
        Status.LEFT,
        None,
    ]
    assert story.core.own.incarnation == BORN + 1
    assert {r.replica for r in answer.records} == {1, 2, 3, 4}


def test_an_exchange_answers_pings_and_nothing_else() -> None:
    core = Story(2).core
    assert core.answer_exchange(Ping(7, 2, 1), 0) == Ack(7, 1)
    assert core.answer_exchange(Ping(7, 2, 9), 0) is None
    assert core.answer_exchange(alive(3), 0) is None


def test_a_table_in_a_packet_is_not_believed() -> None:
    story = Story()
    story.hear(PushPull(9, (Record(2, 5, Status.ALIVE, "n2", "h2", 1000, b""),)))
    assert story.status(2) is None
    assert story.core.counts["misplaced"] == 1


def test_seeds_are_called_for_ever_and_not_in_step() -> None:
    seeds = (("h2", 1000), ("h3", 1000), ("h1", 1000))
    story = Story(seeds=seeds)
    times: list[int] = []
    for _ in range(3_600):
        begun = story.run(1_000)
        times += [story.now_ms for e in begun if isinstance(e, Exchange)]
        assert all(e.to != ("h1", 1000) for e in begun if isinstance(e, Exchange))
    assert times[-1] > 3_590_000
    pauses = {b - a for a, b in zip(times[::2], times[2::2], strict=False)}
    assert len(pauses) > 2


def test_a_seed_that_is_a_member_is_not_called() -> None:
    story = Story(2, seeds=(("h2", 1000),))
    begun = [e for e in story.run(2_000) if isinstance(e, Exchange)]
    assert not any(isinstance(e.request, PushPull) for e in begun)


def test_tables_are_compared_from_time_to_time_though_there_is_no_news() -> None:
    story = Story(2)
    begun: list[Exchange] = []
    for _ in range(600):  # the neighbour answers all our pings
        sent = story.run(100)
        pings = [m for e in sent if isinstance(e, Send) for m in e.messages if isinstance(m, Ping)]
        story.hear(*(Ack(ping.seq, 2) for ping in pings))
        begun += [e for e in sent if isinstance(e, Exchange)]
    assert 1 <= len(begun) <= 4
    assert all(e.to == ("h2", 1000) and isinstance(e.request, PushPull) for e in begun)


def test_leaving_is_told_and_ends_our_part() -> None:
    story = Story(2, 3)
    story.news(3_000)
    story.core.leave()
    assert not story.core.goodbye_said(story.now_ms)
    assert Left(1, BORN) in story.news(2_000)
    assert story.core.goodbye_said(story.now_ms)
    assert story.hear(Ping(7, 2, 1), Suspect(1, BORN, 2)) == []
    assert story.core.own.incarnation == BORN


def test_alone_there_is_nobody_to_tell() -> None:
    story = Story()
    story.core.leave()
    assert story.core.goodbye_said(0)


def test_new_meta_is_a_new_incarnation_and_the_same_is_not() -> None:
    story = Story(2)
    story.core.set_meta(b"meta")
    assert story.core.own.incarnation == BORN
    story.core.set_meta(b"new")
    assert story.core.own.incarnation == BORN + 1
    assert Alive(1, BORN + 1, "me", "h1", 1000, b"new") in story.news()


def test_after_a_pause_suspects_get_the_time_we_slept() -> None:
    story = Story(2, 3)
    story.run(500)
    story.hear(Suspect(2, 5, 9))
    story.now_ms += 3_600_000
    story.core.tick(story.now_ms)
    assert story.status(2) is Status.SUSPECT
    assert story.core.counts["pauses"] == 1


def test_the_long_dead_are_forgotten() -> None:
    story = Story(2)
    story.hear(Dead(2, 5, 9))
    story.changes()
    story.run(CONFIG.dead_forget_ms + 1)
    assert story.status(2) is None
    assert story.changes() == [(Change.FORGOTTEN, 2)]


def test_the_dead_are_told_news_for_half_a_minute() -> None:
    story = Story(2)
    story.news(3_000)
    story.hear(Dead(2, 5, 9))
    story.core.set_meta(b"one")
    assert any(e.to == ("h2", 1000) for e in story.run(1_000) if isinstance(e, Send))
    story.run(CONFIG.dead_gossip_ms)
    story.core.set_meta(b"two")
    assert not any(isinstance(e, Send) for e in story.run(1_000))


def test_the_dead_are_called_until_they_are_forgotten_and_those_who_left_are_not() -> None:
    story = Story(2, 3)
    story.hear(Dead(2, 5, 9), Left(3, 5))
    story.run(3_600_000)
    called = {e.to for e in story.run(60_000) if isinstance(e, Exchange)}
    assert called == {("h2", 1000)}
    story.run(CONFIG.dead_forget_ms)
    assert not any(isinstance(e, Exchange) for e in story.run(600_000))


def test_seeds_may_change() -> None:
    story = Story(seeds=(("h2", 1000),))
    story.core.set_seeds([("h3", 1000), ("h1", 1000)])
    called = {e.to for e in story.run(60_000) if isinstance(e, Exchange)}
    assert called == {("h3", 1000)}


def test_a_conflict_is_told_once_a_minute() -> None:
    story = Story(2)
    for n in range(130):
        story.hear(Alive(9, 5 + n, "n2", "elsewhere", 1000, b""))
        story.hear(alive(2, story.now_ms + 100))
        story.run(1_000)
    told = [n for change, n in story.changes() if change is Change.CONFLICT]
    assert told == [9, 9, 9]


def test_conflicts_remembered_are_bounded() -> None:
    story = Story(2)
    for n in range(100, 100 + CONFLICTS_MAX + 5):
        story.hear(Alive(n, 5, "n2", "elsewhere", 1000, b""))
    assert len(story.core._conflicts) == CONFLICTS_MAX


def test_of_two_packets_with_a_name_the_first_keeps_it() -> None:
    story = Story(2)
    assert story.hear(Alive(9, 5, "n2", "elsewhere", 1000, b"")) == []
    assert (story.status(2), story.status(9)) == (Status.ALIVE, None)
