"""Commands drawn from the grammars of NOTIFY, MULTIAPPEND, REPLACE, CATENATE, URLAUTH, SORT,
THREAD, METADATA, FILTERS and SETQUOTA, and exchanges of SCRAM: about half are right, the others
nearly, and to each there is an answer."""

import base64

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.run import broken_by
from fuzz.targets import TARGETS

Words = st.SearchStrategy[bytes]


def one_of(words: str) -> Words:
    """One of these words."""
    return st.sampled_from(words.encode().split())


def spaced(words: Words, *, least: int = 1, most: int = 4) -> Words:
    """Some of them with a space between, rarely two or none."""
    between = st.sampled_from([b" "] * 60 + [b"  ", b""])
    pairs = st.lists(st.tuples(between, words), min_size=least, max_size=most)
    return pairs.map(
        lambda found: b"".join(gap * bool(at) + word for at, (gap, word) in enumerate(found))
    )


def listed(words: Words, *, least: int = 1, most: int = 4) -> Words:
    """Some of them in parentheses."""
    return spaced(words, least=least, most=most).map(lambda inner: b"(%b)" % inner)


def joined(*parts: Words) -> Words:
    """One after the other, a space between."""
    return st.tuples(*parts).map(b" ".join)


def literal(octets: bytes) -> bytes:
    """RFC 7888: what need not be waited for."""
    return b"{%d+}\r\n%b" % (len(octets), octets)


TEXTS: Words = st.one_of(
    st.binary(max_size=12).map(literal),
    st.sampled_from([b'"a b"', b'""', b"x", b'"\\""', b"NIL", b'"gr\xc3\xbc"', b"~{1+}\r\n\0"]),
)
NAMES: Words = st.one_of(one_of("INBOX Sent new new/a &AOk- nowhere inbox"), TEXTS)
ITEMS = one_of(
    "UID FLAGS ENVELOPE BODY[] BODY.PEEK[TEXT]<0.3> BINARY[1] BINARY.SIZE[9] MODSEQ FAST"
)
EVENTS: Words = st.one_of(
    one_of(
        "MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange x AnnotationChange"
    ),
    one_of("MailboxMetadataChange ServerMetadataChange"),
    listed(ITEMS).map(lambda items: b"MessageNew %b MessageExpunge" % items),
    st.just(b"MessageNew MessageExpunge FlagChange"),
)
SCOPES: Words = st.one_of(
    one_of("selected selected-delayed inboxes personal subscribed"),
    joined(one_of("subtree mailboxes"), st.one_of(NAMES, listed(NAMES))),
)
NOTIFY: Words = st.one_of(
    st.just(b"NOTIFY NONE"),
    joined(
        one_of("NOTIFY"),
        st.sampled_from([b"SET", b"SET STATUS"]),
        spaced(joined(SCOPES, st.one_of(listed(EVENTS), st.just(b"NONE"))).map(b"(%b)".__mod__)),
    ),
)
ENTRIES = one_of(
    "/private/comment /shared/comment /private/filters/values/a /shared/vendor/a/b/c /x"
)
METADATA: Words = st.one_of(
    joined(st.just(b"SETMETADATA"), NAMES, listed(joined(ENTRIES, TEXTS))),
    joined(st.just(b'SETMETADATA ""'), listed(joined(ENTRIES, TEXTS))),
    joined(
        st.just(b"GETMETADATA"),
        st.sampled_from([b"(DEPTH 1)", b"(MAXSIZE 3 DEPTH infinity)", b"(DEPTH 0)"]),
        NAMES,
        st.one_of(ENTRIES, listed(ENTRIES)),
    ),
)
ROOTS: Words = st.one_of(
    st.sampled_from([b'""', b'"Other Users/bob@example.org"', b'"Other Users/"', b"x"]), TEXTS
)
LIMITS: Words = st.one_of(
    joined(one_of("STORAGE message MAILBOX X"), one_of("0 1 10000 9007199254740992 -1 x")),
    st.sampled_from([b"STORAGE 9223372036854775807", b"STORAGE 9223372036854775808", b"STORAGE"]),
)
QUOTA: Words = st.one_of(
    joined(st.just(b"SETQUOTA"), ROOTS, listed(LIMITS, least=0)),
    joined(one_of("GETQUOTA GETQUOTAROOT"), ROOTS),
)
MESSAGE: Words = st.builds(
    lambda flags, date, octets: flags + date + literal(octets),
    st.sampled_from([b"", b"() ", b"(\\Seen $x) "]),
    st.sampled_from([b"", b'" 7-Feb-1994 21:52:25 -0800" ', b'"31-Feb-1994 00:00:00 +0000" ']),
    st.binary(max_size=40).map(lambda body: b"Subject: x\r\n\r\n" + body),
)
URLS: Words = st.builds(
    lambda *parts: b'URL "%b"' % b"".join(parts),
    st.sampled_from(
        [b"/INBOX", b"/inbox;UIDVALIDITY=1793534400", b"/%C3%A9", b"", b"//x/y", b"/.."]
    ),
    st.sampled_from([b"/;UID=1", b";uid=2", b"/;UID=0", b""]),
    st.sampled_from([b"", b"/;SECTION=1.MIME", b"/;SECTION=HEADER.FIELDS%20(To)", b"/;SECTION=x"]),
    st.sampled_from([b"", b"/;PARTIAL=1.2", b"/;PARTIAL=9"]),
)
UTF8 = st.binary(max_size=12).map(lambda octets: b"UTF8 (~%b)" % literal(octets))
PARTS: Words = st.one_of(URLS, UTF8, TEXTS.map(b"TEXT %b".__mod__))
MESSAGES: Words = st.one_of(MESSAGE, UTF8, listed(PARTS).map(b"CATENATE %b".__mod__))
APPEND: Words = st.one_of(
    joined(st.just(b"APPEND"), NAMES, spaced(MESSAGES)),
    joined(st.sampled_from([b"REPLACE", b"UID REPLACE"]), one_of("1 2 * 1:2 $"), NAMES, MESSAGES),
)
AUTHORIZED: Words = st.builds(
    lambda *parts: b'"%b"' % b"".join(parts),
    st.sampled_from([b"imap://alice%40example.org@h", b"IMAP://x;AUTH=*@[::1]:143", b"imap://h"]),
    st.sampled_from([b"/INBOX", b"/Other%20Users/x/y", b"/%C3%A9;UIDVALIDITY=1", b"/..", b""]),
    st.sampled_from([b"/;UID=1", b"/;UID=1/;SECTION=1", b"/;UID=2/;PARTIAL=1.2", b"/;UID=0", b""]),
    st.sampled_from([b"", b";EXPIRE=2026-12-01T00:00:00Z", b";EXPIRE=2026-99-01T00:00:00Z"]),
    st.sampled_from([b";URLAUTH=anonymous", b";urlauth=user+alice%40example.org", b";URLAUTH=a+"]),
    st.sampled_from([b"", b":internal:" + b"0" * 66, b":x:" + b"aF" * 16, b":internal:"]),
)
URL_ITEMS = listed(one_of("BINARY BODY BODYPARTSTRUCTURE x"), least=0, most=2)
URLAUTH: Words = st.one_of(
    joined(one_of("GENURLAUTH"), spaced(joined(AUTHORIZED, one_of("INTERNAL internal XSAMPLE")))),
    joined(one_of("RESETKEY"), NAMES, one_of("INTERNAL XSAMPLE")),
    joined(one_of("RESETKEY"), NAMES),
    joined(
        one_of("URLFETCH"),
        spaced(
            st.one_of(
                AUTHORIZED,
                TEXTS,
                st.builds(lambda url, items: b"(%b %b" % (url, items[1:]), AUTHORIZED, URL_ITEMS),
            )
        ),
    ),
    joined(st.just(b"APPEND Sent CATENATE"), listed(AUTHORIZED.map(b"URL %b".__mod__))),
)
KEYS: Words = st.one_of(
    one_of("ALL SEEN DELETED 1:* * $ NEW UNDRAFT"),
    joined(one_of("FROM SUBJECT TEXT BODY FILTER KEYWORD"), TEXTS),
    joined(one_of("OLDER LARGER MODSEQ UID"), one_of("0 1 4294967295 1:3 18446744073709551615")),
    st.sampled_from(
        [b"OR SEEN (NOT DRAFT 1)", b"SINCE 1-Feb-1994", b'HEADER x ""', b"NOT NOT ALL"]
    ),
)
CRITERIA = one_of("ARRIVAL CC DATE FROM SIZE SUBJECT TO DISPLAYFROM DISPLAYTO REVERSE")
RETURNS = st.sampled_from([b"", b"RETURN () ", b"RETURN (MIN MAX SAVE) ", b"RETURN (PARTIAL 2:1) "])
CHARSETS = one_of("UTF-8 US-ASCII x-none")
SEARCHES: Words = st.one_of(
    joined(
        RETURNS.map(b"SORT %b".__mod__).map(bytes.strip), listed(CRITERIA), CHARSETS, spaced(KEYS)
    ),
    joined(one_of("THREAD"), one_of("REFERENCES ORDEREDSUBJECT REFS X"), CHARSETS, spaced(KEYS)),
    joined(RETURNS.map(b"SEARCH %b".__mod__).map(bytes.strip), spaced(KEYS)),
).flatmap(lambda command: st.sampled_from([command, b"UID " + command]))
COMMANDS: Words = st.one_of(
    NOTIFY, METADATA, APPEND, SEARCHES, URLAUTH, QUOTA,
    st.sampled_from([b"NOOP", b"IDLE\r\nDONE", b"SELECT INBOX", b"EXPUNGE", b"ENABLE QRESYNC",
                     b"ENABLE UTF8=ACCEPT"]),
    st.sampled_from([b"UID STORE 1:* +FLAGS (\\Deleted)", b"DELETE new", b"CREATE new/a"]),
)  # fmt: skip
CONVERSATIONS = st.lists(COMMANDS, max_size=8).map(
    lambda commands: b"".join(b"t%d %b\r\n" % numbered for numbered in enumerate(commands))
)


@given(CONVERSATIONS)
def test_what_the_grammar_gives_is_understood_or_refused(data: bytes) -> None:
    assert broken_by(TARGETS["imap"], data) is None


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CONVERSATIONS)
def test_what_the_grammar_gives_is_carried_out_or_refused(data: bytes) -> None:
    wrong = broken_by(TARGETS["imap_door"], data)
    assert wrong is None, wrong


@given(spaced(KEYS, least=0, most=8))
def test_what_somebody_keeps_as_a_filter_is_a_search_or_not(text: bytes) -> None:
    assert broken_by(TARGETS["filters"], text) is None


@given(
    st.sampled_from([b"n,", b"y,", b"p=tls-exporter,", b"n,a=b", b""]),
    st.lists(st.sampled_from([b"n=a", b"n==2C", b"n==", b"r=abc", b"m=x", b"x=\xff"]), max_size=4),
    st.lists(st.sampled_from([b"c=biws", b"c=!", b"r=abc", b"p=AAAA"]), max_size=4),
    st.binary(max_size=40),
)
def test_whatever_is_said_to_scram_proves_nothing(
    header: bytes, first: list[bytes], final: list[bytes], proof: bytes
) -> None:
    nonce = b"r=abc" + base64.b64encode(b"server nonce")
    last = b",".join([*final, nonce, b"p=" + base64.b64encode(proof)])
    for end in (b",".join(final), last, b"c=biws,%b,p=%b" % (nonce, base64.b64encode(proof))):
        data = header + b"," + b",".join(first) + b"\n" + end
        assert broken_by(TARGETS["scram"], data) is None
