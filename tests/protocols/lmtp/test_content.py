"""Content on its way in: dots, pieces, budgets."""

import random
import time

import pytest

from protocols.lmtp.content import Budget, DotReader, Draft


def read(*pieces: bytes) -> tuple[bytes, bytes | None]:
    """Content of these pieces, and what followed its end."""
    reader = DotReader()
    content = b""
    for number, piece in enumerate(pieces):
        more, rest = reader.feed(piece)
        content += more
        if rest is not None:
            return content, rest + b"".join(pieces[number + 1 :])
    return content, None


@pytest.mark.parametrize(
    ("sent", "content", "rest"),
    [
        (b".\r\n", b"", b""),
        (b"a\r\n.\r\nQUIT\r\n", b"a\r\n", b"QUIT\r\n"),
        (b"..\r\n.\r\n", b".\r\n", b""),
        (b".a\r\n.\r\n", b"a\r\n", b""),
        (b"\r\n.\r\n", b"\r\n", b""),
        (b"a\r\n.\r.\r\n.\r\n", b"a\r\n\r.\r\n", b""),
        (b"a\r\r\n.\r\n", b"a\r\r\n", b""),
        (b"a\n.\n.\r\n\r\n.\r\n", b"a\n.\n.\r\n\r\n", b""),
    ],
)
def test_where_content_ends_however_it_is_cut(sent: bytes, content: bytes, rest: bytes) -> None:
    assert read(sent) == (content, rest)
    assert read(*(bytes([octet]) for octet in sent)) == (content, rest)
    for cut in range(len(sent)):
        assert read(sent[:cut], sent[cut:]) == (content, rest)


def test_stuffed_content_comes_back_as_it_was() -> None:
    chance = random.Random(5321)
    for _ in range(500):
        lines = ["".join(chance.choices(".a\r\n", k=chance.randrange(6))) for _ in range(8)]
        message = "".join(line + "\r\n" for line in lines).encode()
        stuffed = message.replace(b"\r\n.", b"\r\n..")
        if message.startswith(b"."):
            stuffed = b"." + stuffed
        sent = stuffed + b".\r\nREST"
        cuts = sorted(chance.sample(range(len(sent)), min(5, len(sent))))
        pieces = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
        assert read(*pieces) == (message, b"REST")


def test_content_without_end_stays_content() -> None:
    content, rest = read(b"x" * 1000, b"\r\n", b".", b"\r")
    assert rest is None
    assert content == b"x" * 1000  # the rest may yet be the end


@pytest.mark.parametrize("line", [b"\r\n.", b"\r", b"\r\n", b".", b"\r\n..\r\n"])
def test_unstuffing_is_linear(line: bytes) -> None:
    reader = DotReader()
    began = time.process_time()
    for _ in range(50):
        reader.feed(line * 10_000)
    assert time.process_time() - began < 5


def test_a_draft_holds_what_it_was_given() -> None:
    budget = Budget(1_000_000)
    draft = Draft(budget, bytes_max=1000)
    draft.append(b"ab")
    draft.append(b"c")
    assert budget.held >= 3
    assert draft.finish() == b"abc"
    assert budget.held >= 3  # until it is delivered
    draft.close()
    assert budget.held == 0


def test_a_draft_over_its_own_limit_is_dropped_and_counted() -> None:
    budget = Budget(1_000_000)
    draft = Draft(budget, bytes_max=1000)
    draft.append(b"x" * 1000)
    assert (draft.too_big, draft.no_room) == (False, False)
    draft.append(b"x")
    assert (draft.too_big, draft.no_room) == (True, False)
    assert budget.held == 0
    draft.append(b"x" * 500)
    assert draft.dropped == 501
    draft.close()


def test_drafts_share_a_budget() -> None:
    budget = Budget(1000)
    first, second = Draft(budget, bytes_max=900), Draft(budget, bytes_max=900)
    first.append(b"x" * 600)
    assert budget.room == 100  # a step ahead, as far as one message may go
    second.append(b"x" * 100)
    assert (second.too_big, second.no_room) == (False, False)
    second.append(b"x")
    assert (second.too_big, second.no_room) == (False, True)
    assert budget.room == 100
    first.close()
    assert budget.room == 1000
