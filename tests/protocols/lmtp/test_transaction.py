"""What a MAIL begins: who it is for, what room its message takes, and what is told at its end."""

import pytest

from protocols.lmtp import replies, transaction
from protocols.lmtp.commands import Mail, Rcpt, parse_command
from protocols.lmtp.content import Budget
from protocols.lmtp.events import MessageReceived, Offer, Recipient
from protocols.lmtp.transaction import Transaction, early_refusal
from protocols.ports import Route
from storage.ids import AccountId

OFFER = Offer(hostname="mail.example.org", message_bytes_max=1000, recipients_max=2)


def mail(line: bytes = b"MAIL FROM:<carol@example.net>") -> Mail:
    command = parse_command(line)
    assert isinstance(command, Mail)
    return command


def recipient(name: str, *accounts: int) -> Recipient:
    command = parse_command(f"RCPT TO:<{name}@example.org>".encode())
    assert isinstance(command, Rcpt)
    return Recipient(command.recipient, Route(tuple(map(AccountId, accounts))))


def test_a_size_that_cannot_fit_begins_nothing() -> None:
    budget = Budget(100)
    sized = b"MAIL FROM:<carol@example.net> SIZE=%d"
    assert early_refusal(mail(sized % 1001), OFFER, budget) == replies.MESSAGE_TOO_BIG
    assert early_refusal(mail(sized % 101), OFFER, budget) == replies.NO_ROOM
    assert early_refusal(mail(sized % 100), OFFER, budget) is None
    assert early_refusal(mail(), OFFER, budget) is None
    assert budget.held == 0


def test_recipients_are_counted_and_so_is_where_they_lead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "PLACES_MAX", 3)
    begun = Transaction(mail(), OFFER, Budget(5000))
    alice, everybody = recipient("alice", 1), recipient("everybody", 1, 2, 3, 4)
    assert begun.add(alice.address, alice.route) and not begun.full
    assert not begun.add(everybody.address, everybody.route)
    bob = recipient("bob", 2, 3)
    assert begun.add(bob.address, bob.route) and begun.full
    received = begun.received("mx.example.net")
    assert isinstance(received, MessageReceived) and received.recipients == (alice, bob)
    alone = Transaction(mail(), OFFER, Budget(5000))
    assert alone.add(everybody.address, everybody.route), "a large list is reached when alone"


def test_each_recipient_is_told_why_a_message_was_not_kept() -> None:
    budget = Budget(5000)
    begun = Transaction(mail(), OFFER, budget)
    for one in (recipient("alice", 1), recipient("bob", 2)):
        begun.add(one.address, one.route)
    begun.draft.append(bytes(1000))
    assert budget.held
    begun.draft.append(b"one more")
    assert begun.received("mx.example.net") == [replies.MESSAGE_TOO_BIG] * 2
    begun.close()
    assert budget.held == 0


def test_addresses_beyond_ascii_need_smtputf8() -> None:
    odd = recipient("älice", 1).address
    assert not Transaction(mail(), OFFER, Budget(1)).may_name(odd)
    wide = mail(b"MAIL FROM:<carol@example.net> SMTPUTF8")
    assert Transaction(wide, OFFER, Budget(1)).may_name(odd)
