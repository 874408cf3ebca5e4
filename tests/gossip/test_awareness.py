"""Our own health."""

from gossip.awareness import Awareness
from gossip.config import GossipConfig


def test_the_well_are_not_patient() -> None:
    assert Awareness(GossipConfig()).stretch(1_000) == 1_000


def test_bad_signs_stretch_and_good_ones_mend() -> None:
    awareness = Awareness(GossipConfig())
    awareness.add(2)
    assert awareness.stretch(1_000) == 3_000
    awareness.add(-1)
    assert awareness.stretch(1_000) == 2_000


def test_the_score_has_ends() -> None:
    awareness = Awareness(GossipConfig(awareness_max=8))
    awareness.add(100)
    assert awareness.score == 7
    awareness.add(-100)
    assert awareness.score == 0
