"""Names and places a mailbox may have."""

import pytest

from storage.ids import MailboxId
from storage.mail import mailboxes
from storage.mail.errors import MailboxDepth, MailboxNameInvalid
from storage.mail.tree import (
    MAILBOX_DEPTH_MAX,
    MAILBOX_NAME_OCTETS_MAX,
    canonical_name,
    is_inbox_name,
)
from tests.storage.mail.story import ALICE, House


@pytest.mark.parametrize("name", ["a", "Straße", "été 2026", "日本語", "a.b", "100%", "x" * 255])
def test_names_of_all_scripts_are_kept(name: str) -> None:
    assert canonical_name(name) == name


def test_a_name_is_kept_composed() -> None:
    assert canonical_name("e\u0301te\u0301") == "été"


@pytest.mark.parametrize(
    "name", ["", "a/b", "/", "a\x00", "a\nb", "\x7f", "\x85", "a\u2028b", "\u2029", "\ud800"]
)
def test_names_no_door_could_show_are_refused(name: str) -> None:
    with pytest.raises(MailboxNameInvalid):
        canonical_name(name)


def test_a_name_is_bounded_in_octets() -> None:
    assert MAILBOX_NAME_OCTETS_MAX == 255
    canonical_name("é" * 127)
    for name in ("x" * 256, "é" * 128, "x" * 1_000_000):
        with pytest.raises(MailboxNameInvalid):
            canonical_name(name)


def test_only_ascii_spells_inbox() -> None:
    assert is_inbox_name("iNbOx")
    assert not is_inbox_name("ınbox")  # a dotless i, whose capital is I
    assert not is_inbox_name("inbox ")


def chain(house: House, length: int, top: str) -> list[MailboxId]:
    made: list[MailboxId] = []
    for level in range(length):
        made.append(house.create(f"{top}{level}", parent=made[-1] if made else 0).id)
    return made


def test_the_tree_has_so_many_levels_and_no_more(house: House) -> None:
    made = chain(house, MAILBOX_DEPTH_MAX, "a")
    with pytest.raises(MailboxDepth):
        house.create("deeper", parent=made[-1])
    other = chain(house, 2, "b")
    with pytest.raises(MailboxDepth), house.command() as plan:
        mailboxes.plan_update(plan, ALICE, other[0], parent=made[-2])
    with house.command() as plan:
        mailboxes.plan_update(plan, ALICE, other[0], parent=made[-3])


def test_no_mailbox_is_inside_itself(house: House) -> None:
    made = chain(house, 3, "a")
    for parent in made:
        with pytest.raises(MailboxDepth), house.command() as plan:
            mailboxes.plan_update(plan, ALICE, made[0], parent=parent)
