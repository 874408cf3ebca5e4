"""Every dialogue in dialogues/, in whole lines, cut oddly, and octet by octet."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.protocols.lmtp.dialogue import OFFER, run_dialogue

DIALOGUES = sorted((Path(__file__).parent / "dialogues").glob("*.txt"))


@pytest.mark.parametrize("piece_octets", [1, 7, 100_000])
@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
def test_dialogue(path: Path, piece_octets: int) -> None:
    starttls = path.stem.startswith("starttls")
    if starttls and piece_octets < 1000:
        pytest.skip("what follows STARTTLS in the same packet is the point")
    run_dialogue(path, piece_octets, replace(OFFER, starttls=starttls))
