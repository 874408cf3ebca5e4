"""LMTP's grammar: what each command accepts, and that nothing else raises anything but Refused."""

import random
import time

import pytest

from protocols.lmtp import commands, replies
from protocols.lmtp.commands import (
    Address,
    Bdat,
    Body,
    Lhlo,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Refused,
    parse_command,
)
from protocols.lmtp.lines import LINE_BYTES_MAX


def refused(line: bytes | str) -> replies.Reply:
    with pytest.raises(Refused) as caught:
        parse_command(line.encode() if isinstance(line, str) else line)
    return caught.value.reply


def rcpt(path: str) -> Address:
    command = parse_command(f"RCPT TO:{path}".encode())
    assert isinstance(command, Rcpt)
    return command.recipient


def test_verbs_are_read_in_any_case_with_any_spaces() -> None:
    assert parse_command(b"quit") == Quit()
    assert parse_command(b"QuIt  ") == Quit()
    assert parse_command(b"noop whatever it says") == Noop()
    assert parse_command(b"lhlo  mx.example.net ") == Lhlo("mx.example.net")
    assert parse_command(b"bdat 12 last") == Bdat(12, last=True)
    assert parse_command(b"BDAT 12") == Bdat(12, last=False)


@pytest.mark.parametrize(
    "domain", ["mx.example.net", "[192.0.2.1]", "[IPv6:2001:db8::1]", "localhost", "bücher.example"]
)
def test_a_client_says_who_it_is(domain: str) -> None:
    assert parse_command(f"LHLO {domain}".encode()) == Lhlo(domain)


@pytest.mark.parametrize("domain", ["", "a b", "<x>", "[1 2]", ".", "-" + "a" * 260])
def test_a_client_says_it_in_one_word(domain: str) -> None:
    assert refused(f"LHLO {domain}").code == 501


@pytest.mark.parametrize(
    ("path", "local", "domain"),
    [
        ("<alice@example.org>", "alice", "example.org"),
        (" <Alice@Example.ORG>", "Alice", "Example.ORG"),
        ("<alice+detail@example.org>", "alice+detail", "example.org"),
        ('<"alice"@example.org>', "alice", "example.org"),
        ('<"a b\\"c\\\\@d"@example.org>', 'a b"c\\@d', "example.org"),
        ('<""@example.org>', "", "example.org"),
        ("<a..b.@example.org>", "a..b.", "example.org"),
        ("<alice@[192.0.2.1]>", "alice", "[192.0.2.1]"),
        ("<alice@example.org.>", "alice", "example.org"),
        ("<alice@under_score.example>", "alice", "under_score.example"),
        ("<@relay.example,@other.example:alice@example.org>", "alice", "example.org"),
        ("<zoë@bücher.example>", "zoë", "bücher.example"),
        ("<Postmaster>", "Postmaster", ""),
        ("<" + "v" * 250 + "@example.org>", "v" * 250, "example.org"),
    ],
)
def test_paths(path: str, local: str, domain: str) -> None:
    assert rcpt(path) == Address(local, domain)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "alice@example.org",
        "<alice@example.org",
        "<alice>",
        "<@example.org>",
        "<alice@>",
        "<alice@exa mple.org>",
        "<al ice@example.org>",
        "<alice@example..org>",
        "<alice@[1 2]>",
        '<"alice@example.org>',
        '<"a"b@example.org>',
        "<alice@bob@example.org>",
        "<" + "v" * 257 + "@example.org>",
        "<alice@" + "d." * 130 + "org>",
        "<al\u0085ice@example.org>",
    ],
)
def test_what_is_no_path(path: str) -> None:
    assert refused(f"RCPT TO:{path}").status in ("5.1.3", "5.5.4")


def test_the_null_sender_is_nobody_and_no_recipient() -> None:
    assert parse_command(b"MAIL FROM:<>") == Mail(None)
    assert refused("RCPT TO:<>").status == "5.1.3"


def test_a_sender_with_all_its_parameters() -> None:
    line = "MAIL FROM:<zoë@example.net> SIZE=12345 BODY=BINARYMIME SMTPUTF8 RET=FULL ENVID=QQ+2B1"
    assert parse_command(line.encode()) == Mail(
        Address("zoë", "example.net"), size=12345, body=Body.BINARY_MIME, smtputf8=True
    )
    assert refused("MAIL FROM:<a@b> SIZE=" + "1" * 21).status == "5.5.4"
    assert refused("MAIL FROM:<a@b> ENVID=" + "x" * 101).status == "5.5.4"
    assert refused("RCPT TO:<a@b> ORCPT=rfc822;" + "x" * 500).status == "5.5.4"


@pytest.mark.parametrize(
    ("local", "rendered"),
    [
        ("alice", "alice@b"),
        ("a.b", "a.b@b"),
        ("a..b", '"a..b"@b'),
        ('a"\\', '"a\\"\\\\"@b'),
        ("", '""@b'),
    ],
)
def test_an_address_is_written_with_as_little_quoting_as_possible(
    local: str, rendered: str
) -> None:
    address = Address(local, "b")
    assert address.render() == rendered
    assert rcpt(f"<{rendered}>") == address


def test_controls_and_broken_utf8_are_no_command() -> None:
    for line in (b"NOOP\x00", b"NOOP \r", b"MAIL FROM:<a\n@b>", b"NOOP \x7f"):
        assert refused(line).status == "5.5.2"
    assert refused(b"NOOP \xc3").status == "5.5.2"


def test_words_that_become_a_verb_in_upper_case_only_are_none() -> None:
    assert refused("ma\u0131l FROM:<>").code == 500


def test_every_reply_line_is_short_ascii() -> None:
    longest = Address("v" * 256, "d" * 255)
    for reply in (replies.unknown_recipient(str(longest)), replies.delivered("zoë" * 300)):
        assert len(reply.render()) <= 512  # RFC 5321 4.5.3.1.5
        assert reply.render().isascii()


def test_anything_at_all_is_a_command_or_refused() -> None:
    chance = random.Random(2033)
    words = [b"MAIL FROM:", b"RCPT TO:", b"<", b">", b"@", b'"', b"\\", b" ", b"=", b"SIZE", b"a."]
    words += [b"BDAT", b"LHLO", b"9" * 30, b"\xc3\xab", b"\xff", b"\0", b"[", b"]", b":", b","]
    for _ in range(20_000):
        line = b"".join(chance.choices(words, k=chance.randrange(12)))
        try:
            parse_command(line)
        except Refused:
            pass


# A grammar that went back and forth would take minutes for the longest line; ours a millisecond.
CPU_S_MAX = 0.5


@pytest.mark.parametrize(
    "filling", [b"a.", b'"\\"', b"@a,", b" ", b"a=b ", b"\\\\", b".", b"<", b"xn--"]
)
@pytest.mark.parametrize("start", [b"MAIL FROM:<", b'RCPT TO:<"', b"MAIL FROM:<a@b> ", b"LHLO "])
def test_the_longest_line_is_parsed_at_once(start: bytes, filling: bytes) -> None:
    line = (start + filling * LINE_BYTES_MAX)[:LINE_BYTES_MAX]
    began = time.process_time()
    try:
        parse_command(line)
    except Refused:
        pass
    assert time.process_time() - began < CPU_S_MAX
    assert commands.LOCAL_PART_BYTES_MAX < LINE_BYTES_MAX
