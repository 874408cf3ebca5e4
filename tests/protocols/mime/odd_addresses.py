"""Odd messages: senders and recipients in every shape RFC 5322, 6532 and 7103 know of."""

from tests.protocols.mime.odd import Odd, odd


def _from(name: str, value: str | bytes, *expected: tuple[str | None, str]) -> Odd:
    raw = value.encode("utf-8") if isinstance(value, str) else value
    data = b"From: " + raw + b"\r\nSubject: " + name.encode() + b"\r\n\r\nbody\r\n"
    return odd(f"from-{name}", data, from_=list(expected), subject=name, texts=["body\n"])


_BOB = "bob@example.org"

FROM: list[Odd] = [
    _from("bare", _BOB, (None, _BOB)),
    _from("angle-only", f"<{_BOB}>", (None, _BOB)),
    _from("phrase", f"Bob Example <{_BOB}>", ("Bob Example", _BOB)),
    _from("no-space-before-angle", f"Bob<{_BOB}>", ("Bob", _BOB)),
    _from("quoted", f'"Bob, the Builder" <{_BOB}>', ("Bob, the Builder", _BOB)),
    _from("quoted-pairs", f'"B\\"o\\\\b" <{_BOB}>', ('B"o\\b', _BOB)),
    _from("quoted-padded", f'"  Bob  " <{_BOB}>', ("Bob", _BOB)),
    _from("quoted-empty", f'"" <{_BOB}>', (None, _BOB)),
    _from("quoted-folded", f'"Bob\r\n Example" <{_BOB}>', ("Bob Example", _BOB)),
    _from("obs-phrase-dots", f"Bob Q. Public Jr. <{_BOB}>", ("Bob Q. Public Jr.", _BOB)),
    _from("comment-names", f"{_BOB} (Bob Example)", ("Bob Example", _BOB)),
    _from("comment-after-angle", f"<{_BOB}> (Bob)", ("Bob", _BOB)),
    _from("comment-before-is-no-name", f"(hi) {_BOB}", (None, _BOB)),
    _from("comment-beside-phrase", f"Bob (home) <{_BOB}>", ("Bob", _BOB)),
    _from("nested-comments", "a(b(c(d)))@(x)example.org", (None, "a@example.org")),
    _from("nested-comment-after", "a@example.org (b(c) d)", ("b(c) d", "a@example.org")),
    _from("comment-with-pairs", f"{_BOB} (B\\)ob)", ("B)ob", _BOB)),
    _from("comment-encoded", f"{_BOB} (=?utf-8?q?B=C3=B6b?=)", ("Böb", _BOB)),
    _from("comment-unclosed", f"(Bob <{_BOB}>", ("Bob", _BOB)),
    _from("paren-stray", f"Bob) <{_BOB}>", ("Bob)", _BOB)),
    _from("quote-unclosed", f'"Bob <{_BOB}>', ("Bob", _BOB)),
    _from("angle-unclosed", f"Bob <{_BOB}", ("Bob", _BOB)),
    _from("angle-doubled", f"Bob <<{_BOB}>>", ("Bob", _BOB)),
    _from("angle-empty", "Bob <>", ("Bob", "")),
    _from("nothing", ""),
    _from("only-space", "   "),
    _from("only-commas", ", ,,"),
    _from("route", f"Bob <@a.example,@b.example:{_BOB}>", ("Bob", _BOB)),
    _from("spaced-domain", "bob@example . org", (None, _BOB)),
    _from("spaced-at", "bob @ example.org", (None, _BOB)),
    _from("folded-in-angle", "Bob <bob@\r\n example.org>", ("Bob", _BOB)),
    _from("comment-in-angle", "Bob <bob(work)@example(x).org>", ("Bob", _BOB)),
    _from("quoted-local", '"bob smith"@example.org', (None, '"bob smith"@example.org')),
    _from("quoted-local-at", 'B <"b@c"@example.org>', ("B", '"b@c"@example.org')),
    _from("domain-literal", "bob@[192.0.2.1]", (None, "bob@[192.0.2.1]")),
    _from("domain-literal-v6", "B <bob@[IPv6:2001:db8::1]>", ("B", "bob@[IPv6:2001:db8::1]")),
    _from("literal-unclosed", "bob@[192.0.2.1", (None, "bob@[192.0.2.1")),
    _from("two-ats", "bob@example@org", (None, "bob@example@org")),
    _from("no-domain", "bob", (None, "bob")),
    _from("words-no-address", "Bob Example", (None, "Bob Example")),
    _from("words-then-bare", f"Bob Example {_BOB}", ("Bob Example", _BOB)),
    _from("address-as-name", f"{_BOB} <{_BOB}>", (_BOB, _BOB)),
    _from("two-mailboxes", "a@b.c, d@e.f", (None, "a@b.c"), (None, "d@e.f")),
    _from("two-without-comma", "A <a@b.c> D <d@e.f>", ("A", "a@b.c"), ("D", "d@e.f")),
    _from("semicolons", "a@b.c; d@e.f", (None, "a@b.c"), (None, "d@e.f")),
    _from("comma-in-angle", "<a@b.c, d@e.f>", (None, "a@b.c"), (None, "d@e.f")),
    _from("trailing-comma", f"{_BOB},", (None, _BOB)),
    _from("encoded", f"=?utf-8?q?B=C3=B6b?= <{_BOB}>", ("Böb", _BOB)),
    _from("encoded-base64", f"=?UTF-8?B?QsO2Yg==?= <{_BOB}>", ("Böb", _BOB)),
    _from("encoded-two", f"=?utf-8?q?B=C3?= =?utf-8?q?=B6b?= <{_BOB}>", ("Böb", _BOB)),
    _from("encoded-and-plain", f"=?utf-8?q?B=C3=B6b?= Ross <{_BOB}>", ("Böb Ross", _BOB)),
    _from("encoded-comma", f"=?utf-8?q?Ross,_B=C3=B6b?= <{_BOB}>", ("Ross, Böb", _BOB)),
    _from("encoded-in-quotes", f'"=?utf-8?q?B?=" <{_BOB}>', ("=?utf-8?q?B?=", _BOB)),
    _from("encoded-glued", f"x=?utf-8?q?B?= <{_BOB}>", ("x=?utf-8?q?B?=", _BOB)),
    _from("encoded-unknown", f"=?x-none?q?B?= <{_BOB}>", ("=?x-none?q?B?=", _BOB)),
    _from("encoded-language", f"=?utf-8*de?q?B=C3=B6b?= <{_BOB}>", ("Böb", _BOB)),
    _from("encoded-latin1", f"=?ISO-8859-1?Q?B=F6b?= <{_BOB}>", ("Böb", _BOB)),
    _from("encoded-iso2022", f"=?ISO-2022-JP?B?GyRCPzlFRBsoQg==?= <{_BOB}>", ("森田", _BOB)),
    _from("encoded-control", f"=?utf-8?q?B=00=07ob?= <{_BOB}>", ("Bob", _BOB)),
    _from("utf8-name", f"Böb <{_BOB}>", ("Böb", _BOB)),
    _from("utf8-address", "Böb <böb@exämple.org>", ("Böb", "böb@exämple.org")),
    _from("utf8-decomposed", f"Bo\u0308b <{_BOB}>", ("Böb", _BOB)),
    _from("latin1-name", b"B\xf6b <bob@example.org>", ("Böb", _BOB)),
    _from("nul-in-name", b"B\0ob <bob@example.org>", ("Bob", _BOB)),
    _from("bare-cr", b"Bob\r <bob@example.org>", ("Bob", _BOB)),
    _from("tabs", "\tBob\tX\t<bob@example.org>\t", ("Bob X", _BOB)),
    _from("nbsp", f"Bob\u00a0X <{_BOB}>", ("Bob X", _BOB)),
    _from("mailto", "<mailto:bob@example.org>", (None, "mailto:bob@example.org")),
    _from("apostrophes", f"'Bob' <{_BOB}>", ("'Bob'", _BOB)),
    _from("plus-and-signs", "b.o+b=x@example.org", (None, "b.o+b=x@example.org")),
    _from("dot-ends", ".bob.@example.org", (None, ".bob.@example.org")),
    _from("long-name", "x" * 900 + f" <{_BOB}>", ("x" * 900, _BOB)),
]


def _to(name: str, value: str, to: list[tuple[str | None, str]], groups: list[object]) -> Odd:
    return odd(f"to-{name}", f"To: {value}\n\n", to=to, groups=groups)


_A, _B = (None, "a@b.c"), ("D", "d@e.f")
TO: list[Odd] = [
    _to("group", "G: a@b.c, D <d@e.f>;", [_A, _B], [("G", [_A, _B])]),
    _to("group-empty", "Undisclosed recipients:;", [], [("Undisclosed recipients", [])]),
    _to("group-quoted", '"G, H": a@b.c;', [_A], [("G, H", [_A])]),
    _to("group-encoded", "=?utf-8?q?G=C3=BC?=: a@b.c;", [_A], [("Gü", [_A])]),
    _to("group-unclosed", "G: a@b.c, D <d@e.f>", [_A, _B], [("G", [_A, _B])]),
    _to("group-between", "a@b.c, G: D <d@e.f>;", [_A, _B], [(None, [_A]), ("G", [_B])]),
    _to("group-then-more", "G: D <d@e.f>; a@b.c", [_B, _A], [("G", [_B]), (None, [_A])]),
    _to("group-comments", "G(x): (y) a@b.c (z);", [("z", "a@b.c")], [("G", [("z", "a@b.c")])]),
    _to("group-commas", "G:,a@b.c,,;", [_A], [("G", [_A])]),
    _to("group-colon-alone", ":;", [], []),
    _to("two-groups", "G:a@b.c;H:D <d@e.f>;", [_A, _B], [("G", [_A]), ("H", [_B])]),
    _to("folded", "a@b.c,\n D <d@e.f>", [_A, _B], [(None, [_A, _B])]),
]

RECIPIENTS: list[Odd] = [
    odd("to-twice", "To: a@b.c\nTo: d@e.f\n\n", to=[(None, "d@e.f")]),
    odd("cc-and-bcc", "Cc: c@x.y\nBcc: b@x.y\n\n", cc=[(None, "c@x.y")], bcc=[(None, "b@x.y")]),
    odd("reply-to", "Reply-To: r@x.y\nSender: s@x.y\n\n", reply_to=[(None, "r@x.y")]),
    odd("no-recipients", "Subject: lonely\n\n", to=None, cc=None, from_=None),
    odd("upper-case-names", "FROM: a@b.c\nTO: d@e.f\nSUBJECT: x\n\n", from_=[_A], subject="x"),
    odd("space-before-colon", "From : a@b.c\nSubject\t: x\n\n", from_=[_A], subject="x"),
    odd("a-thousand", "To: " + ", ".join(f"u{i}@x.y" for i in range(1000)) + "\n\n"),
]

ODD_ADDRESSES: list[Odd] = FROM + TO + RECIPIENTS
