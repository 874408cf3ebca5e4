"""One probe round, step by step."""

from random import Random

from gossip.awareness import Awareness
from gossip.config import GossipConfig
from gossip.members import Table
from gossip.messages import Ack, Alive, Dead, Nack, Ping, PingReq
from gossip.probes import RELAYS_MAX, Prober, Steps

CONFIG = GossipConfig()
OWN = 99
ASKER = ("asker", 1)


class Story:
    """A prober among n members, and a clock that follows its deadlines."""

    def __init__(self, members: int) -> None:
        self.table = Table(CONFIG, own_name="me")
        self.awareness = Awareness(CONFIG)
        for n in range(1, members + 1):
            self.table.hear_alive(Alive(n, 1, f"n{n}", f"h{n}", 1000, b""), 1, 0)
        self.prober = Prober(CONFIG, OWN, Random(1), now_ms=0)
        self.now_ms = self.prober.next_at_ms

    def tick(self, wait_ms: int = 0) -> Steps:
        self.now_ms += wait_ms
        return self.prober.tick(self.table, self.awareness, self.now_ms)

    def begin(self) -> Ping:
        """The direct ping of the next probe."""
        steps = self.tick(self.prober.next_at_ms - self.now_ms)
        ((_, ping),) = [s for s in steps.sends if isinstance(s[1], Ping)]
        assert isinstance(ping, Ping)
        return ping

    def ask_others(self) -> Steps:
        return self.tick(CONFIG.probe_timeout_ms)

    def finish(self) -> Steps:
        return self.tick(self.prober.next_at_ms - self.now_ms)


def test_an_answered_probe_ends_there() -> None:
    story = Story(4)
    ping = story.begin()
    assert story.prober.hear_ack(Ack(ping.seq, ping.target), story.awareness) is None
    assert story.ask_others() == Steps()
    assert story.finish().failed == []


def test_each_member_is_probed_once_a_round() -> None:
    story = Story(5)
    rounds = []
    for _ in range(3):
        targets = []
        for _ in range(5):
            ping = story.begin()
            story.prober.hear_ack(Ack(ping.seq, ping.target), story.awareness)
            targets.append(ping.target)
        assert sorted(targets) == [1, 2, 3, 4, 5]
        rounds.append(targets)
    assert len({tuple(targets) for targets in rounds}) == 3  # and never in step with others


def test_silence_asks_three_others_and_the_stream() -> None:
    story = Story(6)
    ping = story.begin()
    steps = story.ask_others()
    requests = [m for _, m in steps.sends]
    assert len(requests) == CONFIG.indirect_probes
    assert all(isinstance(r, PingReq) and r.target == ping.target for r in requests)
    assert f"h{ping.target}" not in [to[0] for to, _ in steps.sends]
    assert steps.streams == [((f"h{ping.target}", 1000), ping)]
    assert story.tick(1) == Steps()  # once


def test_silence_by_every_way_is_a_failure() -> None:
    story = Story(4)
    ping = story.begin()
    story.ask_others()
    assert [m.replica for m in story.finish().failed] == [ping.target]


def test_an_answer_by_a_roundabout_way_counts() -> None:
    story = Story(4)
    ping = story.begin()
    story.ask_others()
    story.prober.hear_ack(Ack(ping.seq, ping.target), story.awareness)
    assert story.finish().failed == []


def test_an_answer_of_another_member_or_time_does_not_count() -> None:
    story = Story(4)
    ping = story.begin()
    story.prober.hear_ack(Ack(ping.seq, ping.target + 50), story.awareness)
    story.prober.hear_ack(Ack(ping.seq + 1, ping.target), story.awareness)
    story.ask_others()
    assert len(story.finish().failed) == 1


def test_missing_nacks_say_that_we_are_the_sick_one() -> None:
    story = Story(4)
    ping = story.begin()
    helpers = [m for _, m in story.ask_others().sends]
    assert len(helpers) == 3
    healthy = next(n for n in range(1, 5) if n != ping.target)
    story.prober.hear_nack(Nack(ping.seq, healthy))
    story.finish()
    assert story.awareness.score == 2


def test_all_nacks_say_that_we_are_well() -> None:
    story = Story(4)
    ping = story.begin()
    story.ask_others()
    for n in range(1, 5):
        story.prober.hear_nack(Nack(ping.seq, n))
    assert len(story.finish().failed) == 1
    assert story.awareness.score == 0


def test_with_nobody_to_ask_a_failure_may_be_ours() -> None:
    story = Story(1)
    story.begin()
    story.ask_others()
    story.finish()
    assert story.awareness.score == 1


def test_the_sick_wait_longer() -> None:
    story = Story(2)
    story.awareness.add(3)
    story.begin()
    assert story.prober.next_at_ms - story.now_ms == 4 * CONFIG.probe_interval_ms


def test_the_sick_ask_others_no_later() -> None:
    """Waiting longer does not bring a lost packet; the ways that may bring it get the time."""
    story = Story(4)
    story.awareness.add(3)
    story.begin()
    assert story.prober.deadline_ms() - story.now_ms == CONFIG.probe_timeout_ms


def test_an_answer_says_that_we_are_better() -> None:
    story = Story(4)
    story.awareness.add(3)
    ping = story.begin()
    for _ in range(2):  # the second is a copy, and says nothing new
        story.prober.hear_ack(Ack(ping.seq, ping.target), story.awareness)
    assert story.awareness.score == 2


def test_the_dead_are_not_probed() -> None:
    story = Story(2)
    story.table.hear_accusation(Dead(1, 1, 5), 1, 0)
    assert {story.begin().target for _ in range(4)} == {2}


def test_alone_there_is_nothing_to_probe() -> None:
    story = Story(0)
    assert story.tick() == Steps()
    assert story.prober.deadline_ms() == story.now_ms + CONFIG.probe_interval_ms


def test_we_ping_for_another_and_pass_the_answer_on() -> None:
    story = Story(2)
    relayed = story.prober.relay(PingReq(7, 1, 2, "h2", 1000), ASKER, story.now_ms)
    assert relayed is not None
    to, ping = relayed
    assert to == ("h2", 1000)
    assert ping.target == 2
    assert story.prober.hear_ack(Ack(ping.seq, 1), story.awareness) is None
    passed = story.prober.hear_ack(Ack(ping.seq, 2), story.awareness)
    assert passed == (ASKER, Ack(7, 2))
    assert story.prober.hear_ack(Ack(ping.seq, 2), story.awareness) is None  # once


def test_we_say_so_in_time_when_there_is_no_answer_yet() -> None:
    story = Story(2)
    story.prober.next_at_ms = story.now_ms + 60_000
    relayed = story.prober.relay(PingReq(7, 1, 2, "h2", 1000), ASKER, story.now_ms)
    assert relayed is not None
    wait_ms = story.prober.deadline_ms() - story.now_ms
    assert wait_ms < CONFIG.probe_timeout_ms
    assert story.tick(wait_ms).sends == [(ASKER, Nack(7, OWN))]
    late = story.prober.hear_ack(Ack(relayed[1].seq, 2), story.awareness)
    assert late == (ASKER, Ack(7, 2))


def test_relays_are_bounded_and_end() -> None:
    story = Story(2)
    request = PingReq(7, 1, 2, "h2", 1000)
    for _ in range(RELAYS_MAX):
        assert story.prober.relay(request, ASKER, story.now_ms)
    assert story.prober.relay(request, ASKER, story.now_ms) is None
    story.tick(CONFIG.probe_timeout_ms * 4)
    assert story.prober.relay(request, ASKER, story.now_ms)


def test_after_a_pause_nobody_is_judged() -> None:
    story = Story(3)
    story.begin()
    story.now_ms += 100_000
    story.prober.excuse(story.now_ms)
    assert story.tick().failed == []
    assert story.finish().failed == []
