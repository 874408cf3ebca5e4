"""Odd messages: subjects, dates, ids and headers that are not quite headers."""

from tests.protocols.mime.odd import Odd, odd


def _subject(name: str, value: str | bytes, expected: str) -> Odd:
    raw = value.encode("utf-8") if isinstance(value, str) else value
    return odd(f"subject-{name}", b"Subject:" + raw + b"\r\n\r\nx\r\n", subject=expected)


SUBJECTS: list[Odd] = [
    _subject("plain", " Hello", "Hello"),
    _subject("no-space", "Hello", "Hello"),
    _subject("empty", "", ""),
    _subject("folded", " Hello\r\n there", "Hello there"),
    _subject("folded-tab", " Hello\r\n\tthere", "Hello\tthere"),
    _subject("folded-first", "\r\n Hello", "Hello"),
    _subject("blank-fold", " Hello\r\n \r\n there", "Hello  there"),
    _subject("q", " =?utf-8?Q?H=C3=A9llo_you?=", "Héllo you"),
    _subject("b", " =?utf-8?B?SMOpbGxv?=", "Héllo"),
    _subject("b-unpadded", " =?utf-8?B?SMOpbGw?=", "Héll"),
    _subject("b-broken", " =?utf-8?B?SMOpbGxvX?=", "Héllo"),
    _subject("q-broken", " =?utf-8?Q?H=C3=A9=ZZ?=", "Hé=ZZ"),
    _subject("invalid-utf8", " =?utf-8?Q?H=FFi?=", "H\ufffdi"),
    _subject("words-joined", " =?utf-8?Q?a?= =?utf-8?Q?b?=", "ab"),
    _subject("words-joined-folded", " =?utf-8?Q?a?=\r\n =?utf-8?Q?b?=", "ab"),
    _subject("words-torn", " =?utf-8?B?4oI=?= =?utf-8?B?rA==?=", "€"),
    _subject("charsets-meet", " =?utf-8?Q?a=C3=A9?= =?latin1?Q?=E9b?=", "aééb"),
    _subject("word-and-text", " =?utf-8?Q?a?= b =?utf-8?Q?c?=", "a b c"),
    _subject("glued-left", " x=?utf-8?Q?a?=", "x=?utf-8?Q?a?="),
    _subject("glued-right", " =?utf-8?Q?a?=x", "=?utf-8?Q?a?=x"),
    _subject("space-inside", " =?utf-8?Q?a b?=", "=?utf-8?Q?a b?="),
    _subject("question-inside", " =?utf-8?Q?what??=", "what?"),
    _subject("unterminated", " =?utf-8?Q?a", "=?utf-8?Q?a"),
    _subject("unknown-charset", " =?klingon?Q?a?=", "=?klingon?Q?a?="),
    _subject("unknown-encoding", " =?utf-8?X?a?=", "=?utf-8?X?a?="),
    _subject("empty-word", " =?utf-8?Q??= x", " x"),
    _subject("koi8", " =?koi8-r?B?8NLJ18XU?=", "Привет"),
    _subject("gb2312", " =?gb2312?B?xOO6ww==?=", "你好"),
    _subject("big5", " =?big5?B?p0Gmbg==?=", "你好"),
    _subject("sjis", " =?shift_jis?B?g2WDWINn?=", "テスト"),
    _subject("euc-kr", " =?ks_c_5601-1987?B?vsiz5w==?=", "안녕"),
    _subject("windows-1251", " =?windows-1251?Q?=CF=F0=E8?=", "При"),
    _subject("cp1252-as-latin1", " =?iso-8859-1?Q?=93a=94?=", "“a”"),
    _subject("utf7", " =?utf-7?Q?+AOk-?=", "é"),
    _subject("utf16", " =?utf-16be?B?AOk=?=", "é"),
    _subject("iso-8859-8-i", " =?iso-8859-8-i?B?+ezl7Q==?=", "שלום"),
    _subject("controls", " =?utf-8?Q?a=0D=0Ab=00c=07?=", "abc"),
    _subject("header-injection", " =?utf-8?Q?a=0D=0ABcc:_x@y?=", "aBcc: x@y"),
    _subject("raw-utf8", " Grüße 🎉", "Grüße 🎉"),
    _subject("raw-latin1", b" Gr\xfc\xdfe", "Grüße"),
    _subject("raw-nul", b" a\0b", "ab"),
    _subject("raw-bell", b" a\x07b", "a\x07b"),
    _subject("bare-cr", b" a\rb", "a b"),
    _subject("decomposed", " e\u0301", "é"),
    _subject("trailing-space", " Hello  ", "Hello  "),
    _subject("only-colons", ":::", ":::"),
    _subject("ten-thousand-chars", " " + "x" * 10_000, "x" * 10_000),
    odd(
        "subject-8bit-in-message-charset",
        b"Subject: \xf0\xd2\xc9\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\n\xf0\r\n",
        subject="При",
        texts=["П\n"],
    ),
]


def _date(name: str, value: str, expected: str | None) -> Odd:
    return odd(f"date-{name}", f"Date: {value}\n\n", sent_at=expected)


DATES: list[Odd] = [
    _date("plain", "Tue, 1 Jul 2003 10:52:37 +0200", "2003-07-01T10:52:37+02:00"),
    _date("no-day-name", "1 Jul 2003 10:52:37 +0200", "2003-07-01T10:52:37+02:00"),
    _date("no-seconds", "1 Jul 2003 10:52 +0200", "2003-07-01T10:52:00+02:00"),
    _date("wrong-day-name", "Mon, 1 Jul 2003 10:52:37 Z", "2003-07-01T10:52:37Z"),
    _date("two-digit-2049", "1 Jul 49 10:52:37 GMT", "2049-07-01T10:52:37Z"),
    _date("two-digit-1950", "1 Jul 50 10:52:37 UT", "1950-07-01T10:52:37Z"),
    _date("three-digit", "1 Jul 103 10:52:37 GMT", "2003-07-01T10:52:37Z"),
    _date("zone-names", "1 Jul 2003 10:52:37 PDT", "2003-07-01T10:52:37-07:00"),
    _date("zone-est", "1 Jul 2003 10:52:37 EST", "2003-07-01T10:52:37-05:00"),
    _date("zone-military", "1 Jul 2003 10:52:37 K", "2003-07-01T10:52:37Z"),
    _date("zone-unknown", "1 Jul 2003 10:52:37 CEST", "2003-07-01T10:52:37Z"),
    _date("zone-missing", "1 Jul 2003 10:52:37", "2003-07-01T10:52:37Z"),
    _date("zone-negative-zero", "1 Jul 2003 10:52:37 -0000", "2003-07-01T10:52:37Z"),
    _date("zone-huge", "1 Jul 2003 10:00:00 +9959", "2003-06-27T06:01:00Z"),
    _date("zone-comment", "1 Jul 2003 10:52:37 -0330 (NDT)", "2003-07-01T10:52:37-03:30"),
    _date("comments", "(a) 1 (b(c)) Jul 2003 10:52:37 +0200", "2003-07-01T10:52:37+02:00"),
    _date("folded", "Tue,\n 1 Jul\n 2003 10:52:37 +0200", "2003-07-01T10:52:37+02:00"),
    _date("spaced-colons", "1 Jul 2003 10 : 52 : 37 +0200", "2003-07-01T10:52:37+02:00"),
    _date("leap-second", "31 Dec 2016 23:59:60 +0000", "2016-12-31T23:59:59Z"),
    _date("long-month", "1 June 2003 10:52:37 +0200", "2003-06-01T10:52:37+02:00"),
    _date("hyphens", "01-Jul-2003 10:52:37 +0200", "2003-07-01T10:52:37+02:00"),
    _date("asctime", "Tue Jul  1 10:52:37 2003", "2003-07-01T10:52:37Z"),
    _date("february-30", "30 Feb 2003 10:52:37 +0200", None),
    _date("hour-25", "1 Jul 2003 25:52:37 +0200", None),
    _date("year-99999", "1 Jul 99999 10:52:37 +0200", None),
    _date("no-month", "1 Xyz 2003 10:52:37 +0200", None),
    _date("empty", "", None),
    _date("prose", "yesterday, around noon", None),
]


def _ids(name: str, fields: str, **expected: object) -> Odd:
    return odd(f"ids-{name}", f"{fields}\n\n", **expected)


IDS: list[Odd] = [
    _ids("plain", "Message-ID: <a@b>", message_id=["a@b"]),
    _ids("no-brackets", "Message-ID: a@b", message_id=["a@b"]),
    _ids("no-at", "Message-ID: abc", message_id=None),
    _ids("empty", "Message-ID: <>", message_id=None),
    _ids("spaces-and-comments", "Message-ID: <a (x) @ b . c>", message_id=["a@b.c"]),
    _ids("quoted-left", 'Message-ID: <"a b"@c>', message_id=['"ab"@c']),
    _ids("references", "References: <a@b>\n <c@d> <e@f>", references=["a@b", "c@d", "e@f"]),
    _ids("references-commas", "References: <a@b>,<c@d>", references=["a@b", "c@d"]),
    _ids("references-glued", "References: <a@b><c@d>", references=["a@b", "c@d"]),
    _ids("reply-phrase", "In-Reply-To: Your mail of Monday <a@b>", in_reply_to=["a@b"]),
    _ids("reply-comment", "In-Reply-To: <a@b> (Bob's <x@y>)", in_reply_to=["a@b"]),
    _ids("utf8", "Message-ID: <ä@b>", message_id=["ä@b"]),
    _ids("none", "Subject: x", message_id=None, references=None, in_reply_to=None),
    _ids("twice", "Message-ID: <a@b>\nMessage-ID: <c@d>", message_id=["c@d"]),
]

BLOCKS: list[Odd] = [
    odd("nothing-at-all", b"", subject=None, parts=["1 text/plain"], texts=[""]),
    odd("one-byte", b"x", texts=["x"]),
    odd("only-newline", b"\n", texts=[""]),
    odd("only-crlf", b"\r\n", texts=[""]),
    odd("only-nul", b"\0", texts=[""]),
    odd("only-header", b"Subject: x", subject="x", texts=[""]),
    odd("header-one-newline", b"Subject: x\r\n", subject="x", texts=[""]),
    odd("bare-lf", b"Subject: x\nFrom: a@b.c\n\nbody\n", subject="x", texts=["body\n"]),
    odd("bare-cr", b"Subject: x\rFrom: a@b.c\r\rbody\r", subject="x", from_=[(None, "a@b.c")]),
    odd(
        "bare-cr-behind-trace-lines",
        b"Return-Path: <a@b.c>\r\nSubject: x\rTo: a@b.c\r\rbody\rmore\r\n",
        subject="x",
        to=[(None, "a@b.c")],
        headers=3,
        preview="body more",
    ),
    odd("lf-header-crlf-body", b"Subject: x\n\nbody\r\n", subject="x", texts=["body\n"]),
    odd("crlf-header-lf-separator", b"Subject: x\r\n\nbody\r\n", subject="x", texts=["body\n"]),
    odd("no-headers", b"\r\njust a body\r\n", subject=None, texts=["just a body\n"]),
    odd("prose-only", b"Dear all,\r\nno header here.\r\n", texts=["Dear all,\nno header here.\n"]),
    odd(
        "no-separator", "Subject: x\nThis is the body\nof it\n", texts=["This is the body\nof it\n"]
    ),
    odd("no-separator-later-blank", "Subject: x\nbody one\n\nbody two\n", subject="x"),
    odd("stray-line", "Subject: one\nand two\nTo: a@b.c\n\nx\n", subject="one and two"),
    odd("stray-first", "garbage\nSubject: x\n\nbody\n", subject="x", texts=["body\n"]),
    odd("mbox-line", "From bob Mon Jan  1 00:00:00 2001\nSubject: x\n\nbody\n", subject="x"),
    odd("mbox-line-quoted", ">From bob\nSubject: x\n\nbody\n", subject="x", texts=["body\n"]),
    odd("mbox-line-amid", "Subject: x\nFrom bob Mon\nTo: a@b.c\n\nbody\n", subject="x"),
    odd("empty-name", ": nothing\nSubject: x\n\nb\n", subject="x"),
    odd("name-8bit", "Subject: x\nSübject: y\nTo: a@b.c\n\nb\n", subject="x Sübject: y"),
    odd("name-with-space", "Sub ject: y\nSubject: x\n\nb\n", subject="x", headers=1),
    odd("value-only-colon", "X:\nSubject: x\n\nb\n", subject="x", headers=2),
    odd("fold-at-start", " folded nothing\nSubject: x\n\nb\n", subject="x"),
    odd("blank-with-space", "Subject: x\n \nTo: a@b.c\n\nbody\n", to=[(None, "a@b.c")]),
    odd("subject-twice", "Subject: first\nSubject: second\n\nb\n", subject="second"),
    odd("2000-headers", "X-A: b\n" * 2000 + "Subject: x\n\nb\n", subject="x", headers=2001),
    odd("header-100k", "X-A: " + "y" * 100_000 + "\nSubject: x\n\nb\n", subject="x"),
    odd("fold-1000", "X-A: y\n" + " y\n" * 1000 + "Subject: x\n\nb\n", subject="x", headers=2),
    odd("nul-in-header", b"Sub\0ject: x\r\nTo: a@b.c\r\n\r\nb\r\n", to=[(None, "a@b.c")]),
    odd("trailing-cr", b"Subject: x\r\r\nTo: a@b.c\r\n\r\nb\r\n", to=[(None, "a@b.c")]),
]

ODD_HEADERS: list[Odd] = SUBJECTS + DATES + IDS + BLOCKS
