"""What is told next, and how often."""

from gossip.broadcasts import Broadcasts
from gossip.config import GossipConfig
from gossip.messages import Alive, Dead, Suspect
from gossip.wire import packed_bytes

ROOM = 10_000


def test_news_is_told_so_often_and_no_more() -> None:
    broadcasts = Broadcasts(GossipConfig(retransmit_mult=4))
    broadcasts.put(Suspect(1, 1, 9))
    assert [len(broadcasts.take(ROOM, members=3)) for _ in range(6)] == [1, 1, 1, 1, 0, 0]
    assert not broadcasts


def test_newer_news_about_a_member_takes_the_place_of_older() -> None:
    broadcasts = Broadcasts(GossipConfig())
    broadcasts.put(Suspect(1, 1, 9))
    broadcasts.put(Dead(1, 1, 9))
    assert broadcasts.take(ROOM, members=3) == [Dead(1, 1, 9)]
    assert len(broadcasts) == 1


def test_the_least_told_goes_first_and_the_newest_among_equals() -> None:
    broadcasts = Broadcasts(GossipConfig())
    broadcasts.put(Suspect(1, 1, 9))
    assert broadcasts.take(ROOM, members=3)
    broadcasts.put(Suspect(2, 1, 9))
    broadcasts.put(Suspect(3, 1, 9))
    told = broadcasts.take(ROOM, members=3)
    assert [claim.replica for claim in told] == [3, 2, 1]


def test_no_more_than_fits_and_the_small_is_not_held_up_by_the_large() -> None:
    broadcasts = Broadcasts(GossipConfig())
    small = Suspect(1, 1, 9)
    large = Alive(2, 1, "n2", "h", 1, b"x" * 500)
    broadcasts.put(small)
    broadcasts.put(large)
    assert broadcasts.take(packed_bytes(small), members=3) == [small]
    assert broadcasts.take(packed_bytes(large) - 1, members=3) == [small]
    assert broadcasts.take(packed_bytes(large), members=3) == [large]


def test_the_queue_holds_one_piece_a_member() -> None:
    broadcasts = Broadcasts(GossipConfig())
    for n in range(1_000):
        broadcasts.put(Suspect(n % 10, n, 9))
    assert len(broadcasts) == 10
