"""Odd messages: transfer encodings, charsets, HTML and what a preview makes of them."""

from tests.protocols.mime.odd import Odd, odd


def _body(name: str, body: bytes | str, expected: str, *, cte: str = "8bit", charset: str = "utf-8",
          problem: bool = False) -> Odd:  # fmt: skip
    raw = body.encode() if isinstance(body, str) else body
    head = (
        f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {cte}\r\n\r\n"
    )
    return odd(f"body-{name}", head.encode() + raw, texts=[expected], problem=problem)


TRANSFER: list[Odd] = [
    _body("base64", "SGVsbG8=\r\n", "Hello", cte="base64"),
    _body("base64-upper", "SGVsbG8=", "Hello", cte="BASE64"),
    _body("base64-commented", "SGVsbG8=", "Hello", cte="base64 (of course)"),
    _body("base64-quoted-label", "SGVsbG8=", "Hello", cte='"base64"'),
    _body("base64-cut", "SGVsbG8gd29yb", "Hello wor", cte="base64"),
    _body("base64-cut-one", "SGVsbG8gd", "Hello ", cte="base64"),
    _body("base64-no-padding", "SGVsbG8", "Hello", cte="base64"),
    _body("base64-junk", "S*G V\tsb\0G8=\r\n", "Hello", cte="base64"),
    _body("base64-none", "", "", cte="base64"),
    _body("base64-only-junk", "***", "", cte="base64"),
    _body("qp", "H=C3=A9llo=\r\n you\r\n", "Héllo you\n", cte="quoted-printable"),
    _body("qp-lower", "H=c3=a9", "Hé", cte="Quoted-Printable"),
    _body("qp-trailing-space", "a  \r\nb\t\r\n", "a\nb\n", cte="quoted-printable"),
    _body("qp-soft-space", "a= \r\nb", "ab", cte="quoted-printable"),
    _body("qp-broken", "a=ZZ b=", "a=ZZ b", cte="quoted-printable"),
    _body("qp-bare-lf", b"a=\nb\n", "ab\n", cte="quoted-printable"),
    _body("qp-raw-8bit", "é=C3=A9", "éé", cte="quoted-printable"),
    _body("uu", "begin 644 x\r\n%2&5L;&\\\r\n`\r\nend\r\n", "Hello", cte="x-uuencode"),
    _body("uu-broken", "begin 644 x\r\n\x7f\x7f\r\nend\r\n", "", cte="uuencode"),
    _body("unknown-encoding", "as it is", "as it is", cte="x-rot13", problem=True),
    _body("encoding-empty", "x", "x", cte=""),
    _body("binary", b"a\0b", "ab", cte="binary"),
]

CHARSETS: list[Odd] = [
    _body("utf8", "Grüße", "Grüße"),
    _body("utf8-bom", b"\xef\xbb\xbfx", "x"),
    _body("utf8-broken", b"a\xffb", "a\ufffdb", problem=True),
    _body("latin1", b"Gr\xfc\xdfe", "Grüße", charset="iso-8859-1"),
    _body("latin1-quoted", b"\xfc", "ü", charset='"ISO_8859-1:1987"'),
    _body("cp1252", b"\x80", "€", charset="windows-1252"),
    _body("cp1252-as-latin1", b"\x93x\x94", "“x”", charset="latin1"),
    _body("ascii-but-utf8", "ü", "ü", charset="us-ascii"),
    _body("unknown-ascii", "x", "x", charset="x-klingon", problem=True),
    _body("unknown-8bit", "ü", "ü", charset="unknown-8bit", problem=True),
    _body("idna-is-no-charset", "xn--a", "xn--a", charset="idna", problem=True),
    _body("label-of-thousand", "x", "x", charset="x" * 1000, problem=True),
    _body("koi8", b"\xf0\xd2\xc9", "При", charset="KOI8-R"),
    _body("gbk", b"\xc4\xe3", "你", charset="gb2312"),
    _body("sjis", b"\x83e", "テ", charset="Shift_JIS"),
    _body("iso-2022-jp", b"\x1b$B%F\x1b(B", "テ", charset="iso-2022-jp"),
    _body("euc-kr", b"\xbe\xc8", "안", charset="euc-kr"),
    _body("big5", b"\xa7A", "你", charset="Big5"),
    _body("utf16", "é".encode("utf-16"), "é", charset="utf-16", cte="binary"),
    _body("utf16-odd", b"a\0b", "a\ufffd", charset="utf-16le", cte="binary", problem=True),
    _body("utf7", b"+AOk-", "é", charset="utf-7"),
    _body("utf7-surrogate", b"+2AA-x", "\ufffdx", charset="utf-7", problem=True),
    odd("body-unlabelled-utf8", "\nGrüße\n", texts=["Grüße\n"], problem=False),
    odd("body-unlabelled-cyrillic",
        b"\r\n" + "Привет, как дела? Это простое письмо без указания кодировки.".encode("cp1251"),
        texts=["Привет, как дела? Это простое письмо без указания кодировки."], problem=True),
    odd("html-names-its-charset",
        b"Content-Type: text/html\r\n\r\n<meta charset=koi8-r><p>\xf0\xd2\xc9", preview="При"),
    odd("html-names-its-charset-late",
        b"Content-Type: text/html\r\n\r\n" + b" " * 1024 + b"<meta charset=koi8-r>\xc3\xa9",
        preview="é"),
    odd("body-binary-as-text", b"\r\n" + bytes(range(256)) * 8),
]  # fmt: skip


def _html(name: str, html: str, expected: str) -> Odd:
    return odd(
        f"html-{name}", "Content-Type: text/html; charset=utf-8\n\n" + html, preview=expected
    )


HTML: list[Odd] = [
    _html("tags", "<p>Hello <b>you</b>!</p>", "Hello you!"),
    _html("blocks", "<div>a</div><div>b</div>c<br>d", "a b c d"),
    _html(
        "entities", "a &amp; b &lt;c&gt; &eacute;&#233;&#xe9; &nosuch;", "a & b <c> ééé &nosuch;"
    ),
    _html("entity-huge", "a&#99999999999999999999;b", "a\ufffd9999999999999;b"),
    _html("style-and-script", "<style>p{}</style><script>x('<p>')</script>text", "text"),
    _html("style-unclosed", "before<style>p{} and so on", "before"),
    _html("title", "<html><head><title>no</title></head><body>yes</body></html>", "yes"),
    _html("comment", "a<!-- <p>no</p> -->b<!--[if mso]>no<![endif]-->c", "abc"),
    _html("comment-unclosed", "a<!-- no", "a"),
    _html("quoted-sign", '<a title="a > b">link</a>', "link"),
    _html("quote-unclosed", '<a title="a>link</a>', "link"),
    _html("lone-signs", "1 < 2 and 3 > 2 << x", "1 < 2 and 3 > 2 << x"),
    _html("tag-unclosed", "text <a href=x", "text"),
    _html("table", "<table><tr><td>a</td><td>b</td></tr></table>", "a b"),
    _html("doctype", "<!DOCTYPE html><?xml version='1.0'?><p>x", "x"),
    _html("invisible-padding", "<p>Hi</p>&zwnj;&nbsp;\u034f\u200b&#8203;there", "Hi there"),
    _html("nothing", "<img src=x>", ""),
    _html("nested-divs", "<div>" * 5000 + "deep", "deep"),
]


def _preview(name: str, body: str, expected: str) -> Odd:
    return odd(f"preview-{name}", "Subject: p\n\n" + body, preview=expected)


PREVIEWS: list[Odd] = [
    _preview("plain", "Hello,\n\nhow are you?\n", "Hello, how are you?"),
    _preview("quoted", "Yes.\n\nOn Monday Bob wrote:\n> Really?\n", "Yes."),
    _preview("quoted-first", "On Monday Bob wrote:\n> Really?\n\nYes.\n", "Yes."),
    _preview("quoted-after-blank", "On Monday Bob wrote:\n\n> Really?\n\nYes.\n", "Yes."),
    _preview("only-quoted", "> Really?\n> Sure?\n", "Really? Sure?"),
    _preview("signature", "Yes.\n-- \nBob\nPhone 123\n", "Yes."),
    _preview("original", "Yes.\n-----Original Message-----\nFrom: x\n", "Yes."),
    _preview("long", "word " * 200, ("word " * 52)[:256].rstrip()),
    _preview("long-word", "x" * 1000, "x" * 256),
    _preview("astral", "🎉" * 1000, "🎉" * 256),
    _preview("empty", "", ""),
    _preview("spaces", " \n\t\n ", ""),
    _preview("torn-utf8", "é" * 20_000, "é" * 256),
]

ODD_BODIES: list[Odd] = TRANSFER + CHARSETS + HTML + PREVIEWS
