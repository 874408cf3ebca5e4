"""Who is where, as the file and gossip together know it."""

from dataclasses import replace

from gossip.model import META_BYTES_MAX, Change, Member, MemberEvent, Status
from node.roster import STRANGERS_MAX, NodeMeta, Place, Roster, decode_meta

N1 = Place(1, "n1", ("10.0.0.1", 17911))
N2 = Place(2, "n2", ("10.0.0.2", 17911))


class Story:
    """A roster and all it told others."""

    def __init__(self) -> None:
        self.unreachable: list[int] = []
        self.conflicts: list[str] = []
        self.kept: list[int] = []
        self.nudged: list[int] = []
        self.forgotten: list[int] = []
        self.roster = Roster(
            [N1, N2],
            on_unreachable=self.unreachable.append,
            on_conflict=lambda member: self.conflicts.append(member.name),
        )
        self.roster.attach(self)

    def keep(self, replica: int) -> None:
        self.kept.append(replica)

    def nudge(self, replica: int) -> None:
        self.nudged.append(replica)

    def forget(self, replica: int) -> None:
        self.forgotten.append(replica)

    def hear(self, change: Change, member: Member) -> None:
        self.roster.hear(MemberEvent(change, member))


def member(replica: int, host: str = "10.9.9.9", status: Status = Status.ALIVE) -> Member:
    meta = NodeMeta(version="0.1.0", boot=3, http=8080).encoded()
    return Member(replica, f"n{replica}", host, 17911, 1, status, meta, 0)


def test_the_file_is_where_it_begins() -> None:
    roster = Story().roster
    assert roster.locate(2) == N2.address
    assert roster.locate(9) is None
    assert (roster.name(2), roster.name(255)) == ("n2", "ff")
    assert roster.seeds(own=1) == [N2.address]
    assert roster.seems_up(2)


def test_the_files_nodes_are_dialed_at_once() -> None:
    assert Story().kept == [1, 2]


def test_gossip_knows_better_where_a_node_is() -> None:
    story = Story()
    story.hear(Change.JOINED, member(2))
    assert story.roster.locate(2) == ("10.9.9.9", 17911)
    assert story.nudged == [2]


def test_the_dead_are_a_hint_and_keep_their_address() -> None:
    story = Story()
    story.hear(Change.JOINED, member(2))
    story.hear(Change.SUSPECTED, member(2, status=Status.SUSPECT))
    assert story.roster.seems_up(2)
    story.hear(Change.DIED, member(2, status=Status.DEAD))
    assert not story.roster.seems_up(2)
    assert story.unreachable == [2]
    assert story.roster.locate(2) == ("10.9.9.9", 17911)


def test_a_configured_node_is_never_forgotten() -> None:
    story = Story()
    story.hear(Change.JOINED, member(2))
    story.hear(Change.FORGOTTEN, member(2, status=Status.DEAD))
    assert story.roster.locate(2) == N2.address
    assert story.forgotten == []


def test_a_joiner_comes_and_goes() -> None:
    story = Story()
    story.hear(Change.JOINED, member(7))
    assert story.roster.locate(7) == ("10.9.9.9", 17911)
    story.hear(Change.FORGOTTEN, member(7, status=Status.LEFT))
    assert story.roster.locate(7) is None
    assert story.forgotten == [7]


def test_joiners_are_bounded() -> None:
    story = Story()
    for replica in range(100, 100 + STRANGERS_MAX + 5):
        story.hear(Change.JOINED, member(replica))
    story.hear(Change.JOINED, member(2))
    assert len(story.roster.entries()) == STRANGERS_MAX + 2


def test_a_conflict_is_an_alarm_and_moves_nobody() -> None:
    story = Story()
    story.hear(Change.CONFLICT, replace(member(5), name="n2"))
    assert story.conflicts == ["n2"]
    assert story.roster.locate(5) is None


def test_entries_tell_all_there_is() -> None:
    story = Story()
    story.hear(Change.JOINED, member(2))
    one, two = story.roster.entries()
    assert (one.name, one.status, one.configured) == ("n1", None, True)
    assert (two.status, two.meta.http, two.meta.boot) == (Status.ALIVE, 8080, 3)


def test_meta_survives_what_it_does_not_know() -> None:
    assert decode_meta(b"") == NodeMeta()
    assert decode_meta(b"\xff\xff") == NodeMeta()
    assert decode_meta(b"\x81\xa6colour\xa3red") == NodeMeta()
    assert decode_meta(b"\x81\xa1x" + b"\x91" * 500) == NodeMeta()
    assert decode_meta(b"\x81\xa7version\xa1\xff") == NodeMeta()
    full = NodeMeta("9" * 64, 2**63, 65535, disk_ok=False)
    assert decode_meta(full.encoded()) == full
    assert len(full.encoded()) < META_BYTES_MAX // 2
