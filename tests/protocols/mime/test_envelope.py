"""Summaries: RFC 8621's properties from one parse, and RFC 5256's base subject."""

from datetime import datetime, timedelta, timezone

import pytest

from protocols.mime import envelope, structure
from protocols.mime.addresses import EmailAddress
from protocols.mime.envelope import base_subject, is_reply_or_forward, summarise
from tests.protocols.mime.odd import crlf

_MAIL = crlf(
    "From: Ann <ann@x.org>\nSender: s@x.org\nReply-To: r@x.org\nTo: G: b@x.org;, c@x.org\n"
    "Cc:\nSubject: Re: [team] =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nDate: Mon, 2 Mar 2026 10:00:00 +0100\n"
    "Message-ID: <m@x>\nIn-Reply-To: <l@x>\nReferences: <k@x>\n <l@x>\n\nHello there.\n"
)


def test_a_summary_says_all_that_ingest_wants() -> None:
    summary = summarise(_MAIL)
    assert (summary.message_id, summary.in_reply_to) == (("m@x",), ("l@x",))
    assert summary.references == ("k@x", "l@x")
    assert (summary.subject, summary.base_subject) == ("Re: [team] Grüße", "Grüße")
    assert summary.from_ == (EmailAddress("Ann", "ann@x.org"),)
    assert summary.sender == (EmailAddress(None, "s@x.org"),)
    assert summary.reply_to == (EmailAddress(None, "r@x.org"),)
    assert summary.to == (EmailAddress(None, "b@x.org"), EmailAddress(None, "c@x.org"))
    assert (summary.cc, summary.bcc) == ((), None)
    assert summary.sent_at == datetime(2026, 3, 2, 10, tzinfo=timezone(timedelta(hours=1)))
    assert (summary.preview, summary.has_attachment) == ("Hello there.", False)
    assert summary.size == len(_MAIL)
    assert structure.unpack(summary.structure_bytes) == summary.root == structure.parse(_MAIL)
    assert [field.name for field in summary.headers][:2] == ["From", "Sender"]


@pytest.mark.parametrize(
    ("subject", "base"),
    [
        ("Hello", "Hello"),
        ("Re: Hello", "Hello"),
        ("RE: fw: FWD: re : Hello", "Hello"),
        ("Re[2]: Hello", "Hello"),
        ("Re [list]: Hello", "Hello"),
        ("[list] Re: [other] Hello", "Hello"),
        ("[list]", "[list]"),
        ("[a] [b]", "[b]"),
        ("Hello (fwd)", "Hello"),
        ("Hello (FWD) (fwd) ", "Hello"),
        ("[Fwd: Hello]", "Hello"),
        ("[Fwd: Re: [x] Hello (fwd)]", "Hello"),
        ("[fwd: Hello] there", "there"),
        ("Report: Hello", "Report: Hello"),
        ("Hello \t world", "Hello world"),
        ("Re:", ""),
        ("", ""),
    ],
)
def test_base_subject_is_that_of_rfc_5256(subject: str, base: str) -> None:
    assert base_subject(subject) == base


def test_a_base_subject_is_made_of_a_bounded_beginning() -> None:
    maximum = envelope.BASE_SUBJECT_CHARS_MAX
    assert base_subject("x" * (maximum + 1)) == "x" * maximum
    assert base_subject("[a]" * maximum) == ("[a]" * maximum)[:maximum][-1:]


@pytest.mark.parametrize(
    ("subject", "is_reply"),
    [
        ("tea", False),
        ("Re: tea", True),
        ("[list] tea", False),
        ("[list] re[2]: tea", True),
        ("tea (Fwd)", True),
        ("[fwd: tea]", True),
        ("[list] [Fwd: tea]", True),
        ("Fw: tea", True),
        ("Regarding: tea", False),
        ("", False),
    ],
)
def test_what_is_a_reply_or_forward(subject: str, is_reply: bool) -> None:
    assert is_reply_or_forward(subject) is is_reply
