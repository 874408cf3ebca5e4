"""Rows of several numbers at once are those that asking for each would give."""

from hypothesis import given
from hypothesis import strategies as st

from storage import keys
from storage.ids import EmailId
from storage.mail.neighbours import SPARSE_MAX, read_rows
from storage.memory import MemoryEngine
from tests.storage.mail.story import ALICE

NUMBERS = st.sets(st.integers(1, 8 * SPARSE_MAX).map(EmailId), max_size=12)


@given(NUMBERS, NUMBERS)
def test_whatever_is_there_and_whatever_is_asked_for(
    there: set[EmailId], asked: set[EmailId]
) -> None:
    engine = MemoryEngine()
    engine.write([(keys.email_meta_key(ALICE, number), b"%d" % number) for number in there])
    found = read_rows(engine, ALICE, keys.email_meta_key, list(asked))
    assert found == {keys.email_meta_key(ALICE, number): b"%d" % number for number in there & asked}
