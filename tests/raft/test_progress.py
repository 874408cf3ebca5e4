"""The leader's view of one follower: what may be sent, and what an answer changes."""

from raft.progress import Progress, Sending


def replicating(match: int = 10) -> Progress:
    progress = Progress(replica=2, next=match + 1, heard_ms=0)
    progress.acknowledged(match)
    return progress


def test_a_probe_is_sent_once_until_it_is_answered() -> None:
    progress = Progress(replica=2, next=11, heard_ms=0)
    assert progress.may_send(8, 100)
    progress.sent(20, 50)
    assert not progress.may_send(8, 100) and progress.next == 11
    assert progress.acknowledged(20)
    assert progress.sending is Sending.REPLICATE and progress.next == 21


def test_the_window_closes_at_messages_and_at_bytes() -> None:
    progress = replicating()
    progress.sent(11, 60)
    assert progress.may_send(2, 100) and not progress.may_send(1, 100)
    progress.sent(12, 60)
    assert not progress.may_send(9, 100)
    assert progress.acknowledged(11)
    assert progress.may_send(9, 100) and progress.inflight_bytes == 60


def test_what_was_sent_is_not_there_before_it_is_acknowledged() -> None:
    progress = replicating()
    progress.sent(11, 1)
    progress.sent(15, 1)
    assert progress.acknowledged(11)
    assert (progress.match, progress.next) == (11, 16)


def test_an_acknowledgement_that_comes_late_is_no_news() -> None:
    progress = replicating()
    progress.sent(15, 1)
    assert progress.acknowledged(15)
    assert not progress.acknowledged(12)
    assert (progress.match, progress.next) == (15, 16)


def test_a_refusal_goes_back_to_the_hint_but_never_behind_what_is_known() -> None:
    progress = replicating(match=10)
    progress.sent(30, 1)
    assert not progress.refused(rejected=9, agreed_at_most=3)  # older than what it confirmed
    assert progress.refused(rejected=20, agreed_at_most=4)
    assert (progress.sending, progress.next) == (Sending.PROBE, 11)
    assert progress.inflight_bytes == 0
    assert not progress.refused(rejected=20, agreed_at_most=4)  # of an earlier probe


def test_a_window_that_lost_its_first_append_is_sent_again_once() -> None:
    """However many of it are refused, and in whatever order answers come."""
    progress = replicating(match=10)
    windows = 0
    for last in range(11, 75):
        progress.sent(last, 1)
    for rejected in range(73, 11, -1):
        windows += progress.refused(rejected, agreed_at_most=10)
        progress.acknowledged(10)  # the probe's answer, or an earlier one
        if windows == 1 and progress.next == 11:
            for last in range(11, 75):
                progress.sent(last, 1)
    assert windows == 1 and progress.sending is Sending.REPLICATE
    # What was sent behind all of it, and what is refused after a heartbeat without news, counts.
    progress.sent(75, 1)
    progress.sent(76, 1)
    assert progress.refused(rejected=75, agreed_at_most=10)
    progress.acknowledged(10)
    progress.sent(11, 1)
    progress.sent(12, 1)
    assert not progress.refused(rejected=11, agreed_at_most=10)
    progress.stands_still()
    assert progress.refused(rejected=11, agreed_at_most=10)


def test_an_acknowledgement_of_less_than_is_known_answers_no_probe() -> None:
    progress = replicating(match=10)
    progress.sent(30, 1)
    assert progress.refused(rejected=20, agreed_at_most=4)
    assert not progress.acknowledged(7)
    assert progress.sending is Sending.PROBE
    assert not progress.acknowledged(10)
    assert progress.sending is Sending.REPLICATE


def test_nothing_is_sent_to_a_follower_that_waits_for_a_snapshot() -> None:
    progress = replicating()
    progress.sending = Sending.SNAPSHOT
    assert not progress.may_send(8, 100)
