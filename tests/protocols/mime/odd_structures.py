"""Odd messages: multiparts, attachments and embedded messages, whole and broken."""

from tests.protocols.mime.odd import Odd, crlf, mixed, odd

_TEXT = "Content-Type: text/plain\n\nplain\n"
_HTML = "Content-Type: text/html\n\n<p>html</p>\n"
_GIF = "Content-Type: image/gif\nContent-Transfer-Encoding: base64\n\nR0lGODlh\n"
_MAIL = "Content-Type: message/rfc822\n\nSubject: inner\nFrom: in@x.y\n\ninner body\n"


def _nested(levels: int) -> str:
    """Multiparts in multiparts, none of them closed."""
    return "".join(
        f"Content-Type: multipart/mixed; boundary=b{level}x\n\n--b{level}x\n"
        for level in range(levels)
    )


WHOLE: list[Odd] = [
    odd(
        "alternative",
        mixed(_TEXT, _HTML, subtype="alternative"),
        attached=False,
        parts=[" multipart/alternative", "1 text/plain", "2 text/html"],
        texts=["plain\n", "<p>html</p>\n"],
    ),
    odd("html-only", "Content-Type: text/html\n\n<p>hi <b>you</b></p>\n", preview="hi you"),
    odd(
        "attachment",
        mixed(_TEXT, "Content-Type: application/pdf; name=a.pdf\n\n%PDF"),
        attached=True,
        filenames=["a.pdf"],
    ),
    odd(
        "attached-text",
        mixed(_TEXT, "Content-Disposition: attachment; filename=n.txt\n\nnote"),
        attached=True,
        filenames=["n.txt"],
        preview="plain",
    ),
    odd(
        "inline-picture",
        mixed(
            _HTML, _GIF.replace("\nContent-T", "\nContent-ID: <i@x>\nContent-T"), subtype="related"
        ),
        attached=False,
        preview="html",
    ),
    odd("related-no-cid", mixed(_HTML, _GIF, subtype="related"), attached=True),
    odd(
        "signed",
        mixed(_TEXT, "Content-Type: application/pgp-signature\n\nx", subtype="signed"),
        attached=False,
    ),
    odd(
        "digest",
        mixed("\nSubject: one\n\n1\n", "\nSubject: two\n\n2\n", subtype="digest"),
        parts=[" multipart/digest", "1 message/rfc822", "2 message/rfc822"],
        embedded=["one", "two"],
    ),
    odd(
        "forwarded",
        mixed(_TEXT, _MAIL),
        parts=[" multipart/mixed", "1 text/plain", "2 message/rfc822"],
        embedded=["inner"],
        attached=True,
    ),
    odd("message-itself", _MAIL, parts=["1 message/rfc822"], embedded=["inner"]),
    odd("message-in-message", "Content-Type: message/rfc822\n\n" + _MAIL, embedded=[None]),
    odd(
        "message-of-multipart",
        "Content-Type: message/rfc822\n\n" + mixed(_TEXT, _HTML),
        inner_parts=["1 multipart/mixed", "1.1 text/plain", "1.2 text/html"],
    ),
    odd(
        "message-base64",
        "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeA0KDQp5\n",
        parts=["1 message/rfc822"],
        embedded=[],
    ),
    odd("message-global", mixed("Content-Type: message/global\n\nSubject: ü\n\nx"), embedded=["ü"]),
    odd(
        "message-empty",
        "Content-Type: message/rfc822\n\n",
        parts=["1 message/rfc822"],
        embedded=[None],
    ),
    odd(
        "delivery-status",
        mixed(_TEXT, "Content-Type: message/delivery-status\n\nAction: failed\n", subtype="report"),
        parts=[" multipart/report", "1 text/plain", "2 message/delivery-status"],
    ),
    odd(
        "preamble-epilogue",
        mixed(_TEXT, end="--b--\nepilogue\n").replace("\n\n--b", "\n\npreamble\n--b", 1),
        parts=[" multipart/mixed", "1 text/plain"],
        texts=["plain\n"],
    ),
    odd(
        "nested-close",
        mixed(mixed(_TEXT, _HTML, boundary="in"), _GIF),
        parts=[
            " multipart/mixed",
            "1 multipart/mixed",
            "1.1 text/plain",
            "1.2 text/html",
            "2 image/gif",
        ],
    ),
    odd(
        "prefix-boundaries",
        mixed(mixed(_TEXT, _HTML, boundary="bb"), _GIF),
        parts=[
            " multipart/mixed",
            "1 multipart/mixed",
            "1.1 text/plain",
            "1.2 text/html",
            "2 image/gif",
        ],
    ),
    odd(
        "quoted-boundary",
        mixed(_TEXT, boundary="b b").replace("boundary=b b", 'boundary="b b"'),
        parts=[" multipart/mixed", "1 text/plain"],
    ),
    odd(
        "padded-delimiters",
        mixed(_TEXT, _HTML).replace("--b\n", "--b \t\n"),
        parts=[" multipart/mixed", "1 text/plain", "2 text/html"],
    ),
    odd(
        "header-boundary-only", mixed(_TEXT).replace("boundary=b", "BOUNDARY=b"), texts=["plain\n"]
    ),
    odd("part-without-header", mixed("\njust text\n"), texts=["just text\n"]),
    odd("part-empty", mixed(""), parts=[" multipart/mixed", "1 text/plain"], texts=[""]),
    odd(
        "parts-all-empty",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n--b--\n",
        parts=[" multipart/mixed", "1 text/plain", "2 text/plain"],
        texts=["", ""],
    ),
    odd("lf-multipart", mixed(_TEXT, _HTML).encode(), texts=["plain\n", "<p>html</p>\n"]),
    odd(
        "cr-multipart",
        mixed(_TEXT, _HTML).replace("\n", "\r").encode(),
        parts=[" multipart/mixed", "1 text/plain", "2 text/html"],
    ),
    odd(
        "mixed-line-ends",
        crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n") + b"\na\n--b\r\n\r\nc\r\n--b--",
        texts=["a", "c"],
    ),
]

BROKEN: list[Odd] = [
    odd("no-close", mixed(_TEXT, _HTML, end=""), texts=["plain\n", "<p>html</p>\n\n"]),
    odd(
        "no-boundary-named",
        mixed(_TEXT, _HTML).replace("; boundary=b", ""),
        parts=[" multipart/mixed", "1 text/plain", "2 text/html"],
    ),
    odd(
        "wrong-boundary-named",
        mixed(_TEXT, _HTML).replace("=b\n", "=other\n", 1),
        parts=[" multipart/mixed", "1 text/plain", "2 text/html"],
    ),
    odd("empty-boundary", mixed(_TEXT).replace("=b\n", '=""\n', 1), texts=["plain\n"]),
    odd(
        "no-delimiter-at-all",
        "Content-Type: multipart/mixed; boundary=b\n\nlost text\n",
        parts=[" multipart/mixed", "1 text/plain"],
        texts=["lost text\n"],
    ),
    odd("multipart-no-body", "Content-Type: multipart/mixed; boundary=b\n\n", texts=[""]),
    odd("closed-before-open", "Content-Type: multipart/mixed; boundary=b\n\n--b--\n--b\n\nx\n"),
    odd("same-boundary-twice", mixed(mixed(_TEXT, _HTML)), preview="plain"),
    odd(
        "outer-ends-inner",
        mixed(mixed(_TEXT, boundary="in", end=""), _HTML),
        parts=[" multipart/mixed", "1 multipart/mixed", "1.1 text/plain", "2 text/html"],
    ),
    odd(
        "boundary-not-at-line-start",
        mixed("\ntext --b in a line\n"),
        texts=["text --b in a line\n"],
    ),
    odd("boundary-with-tail", mixed("\n--bad line\n"), texts=["--bad line\n"]),
    odd("boundary-long", mixed(_TEXT, boundary="x" * 200), texts=["plain\n"]),
    odd("boundary-utf8", mixed(_TEXT, boundary="büb"), texts=["plain\n"]),
    odd(
        "type-twice",
        "Content-Type: text/html\nContent-Type: text/plain\n\n<p>a\n",
        parts=["1 text/html"],
        preview="a",
    ),
    odd("type-invalid", "Content-Type: nonsense\n\nx\n", parts=["1 text/plain"]),
    odd("type-no-subtype", "Content-Type: text/\n\nx\n", parts=["1 text/plain"]),
    odd("type-empty", "Content-Type:\n\nx\n", parts=["1 text/plain"]),
    odd(
        "type-comments",
        "Content-Type: (a) text (b) / (c) html (d); charset=utf-8\n\n<p>x\n",
        parts=["1 text/html"],
    ),
    odd("type-upper", "CONTENT-TYPE: TEXT/HTML\n\n<p>x\n", parts=["1 text/html"]),
    odd("type-three-parts", "Content-Type: a/b/c\n\nx\n", parts=["1 text/plain"]),
    odd("type-8bit", "Content-Type: á/é\n\nx\n", parts=["1 text/plain"]),
    odd(
        "multipart-base64",
        mixed(_TEXT).replace("\n\n", "\nContent-Transfer-Encoding: base64\n\n", 1),
        texts=["plain\n"],
    ),
    odd(
        "part-no-separator",
        mixed("Content-Type: text/plain\ntext without blank line\n"),
        texts=["text without blank line\n"],
    ),
    odd(
        "part-header-only",
        mixed("Content-Type: text/html"),
        parts=[" multipart/mixed", "1 text/html"],
        texts=[""],
    ),
    odd("deep-ten", _nested(10) + "\nbottom\n", texts=["bottom\n"]),
    odd("deep-ten-thousand", _nested(10_000)),
    odd("deep-messages", "Content-Type: message/rfc822\n\n" * 5000 + "Subject: x\n\ny"),
    odd("five-thousand-parts", mixed(*["\nx"] * 5000)),
    odd("only-delimiters", "Content-Type: multipart/mixed; boundary=b\n\n" + "--b\n" * 20_000),
    odd(
        "digest-text",
        mixed("Content-Type: text/plain\n\nnot a message\n", subtype="digest"),
        texts=["not a message\n"],
    ),
]

FILENAMES: list[Odd] = [
    odd(
        f"filename-{name}",
        mixed(f"Content-Type: application/x; {params}\n{more}\nz"),
        filenames=[expected],
    )
    for name, params, more, expected in (
        ("quoted", 'name="a b.txt"', "", "a b.txt"),
        ("unquoted-spaces", "name=a b.txt; x=y", "", "a b.txt"),
        ("unclosed", 'name="a b.txt', "", "a b.txt"),
        ("pairs", 'name="a\\"b\\\\c.txt"', "", 'a"b\\c.txt'),
        ("rfc2231", "name*=utf-8'de'B%C3%B6b.txt", "", "Böb.txt"),
        ("rfc2231-latin1", "name*=iso-8859-1''B%F6b.txt", "", "Böb.txt"),
        ("rfc2231-no-charset", "name*=''B%C3%B6b.txt", "", "Böb.txt"),
        ("rfc2231-no-quotes", "name*=B%C3%B6b.txt", "", "Böb.txt"),
        ("continued", 'name*0="long "; name*1="name.txt"', "", "long name.txt"),
        ("continued-mixed", "name*0*=utf-8''B%C3%B6; name*1=b.txt", "", "Böb.txt"),
        ("continued-torn", "name*0*=utf-8''B%C3; name*1*=%B6b.txt", "", "Böb.txt"),
        ("continued-order", "name*1=b.txt; name*0=a", "", "ab.txt"),
        ("both-forms", "name=x.txt; name*=utf-8''%C3%B6.txt", "", "ö.txt"),
        ("encoded-words", 'name="=?utf-8?q?B=C3=B6b.txt?="', "", "Böb.txt"),
        ("encoded-words-bare", "name==?utf-8?q?B=C3=B6b.txt?=", "", "Böb.txt"),
        ("encoded-words-two", 'name="=?utf-8?q?B=C3=B6?=\n =?utf-8?q?b.txt?="', "", "Böb.txt"),
        ("raw-utf8", 'name="Böb.txt"', "", "Böb.txt"),
        ("path", 'name="../../etc/passwd"', "", "../../etc/passwd"),
        ("disposition", "x=y", "Content-Disposition: attachment; filename=d.txt\n", "d.txt"),
        (
            "disposition-wins",
            "name=t.txt",
            "Content-Disposition: inline; filename=d.txt\n",
            "d.txt",
        ),
        ("no-semicolon", "x=y\n name=d.txt", "", "d.txt"),
        ("none", "x=y", "", None),
    )
]

ODD_STRUCTURES: list[Odd] = WHOLE + BROKEN + FILENAMES
