"""RFC 8621 4.2-4.3: Email/get and Email/changes.

A property comes from one of three places: the meta row (what changes), the view row (JSON made at
ingest, spliced in as it is), or the message itself. A page of a mail list touches two rows an
email and builds no objects, or one where the email was shown so before (fragments.py); only a call
that asks for bodies or raw headers opens messages.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

import msgspec

from protocols.jmap.context import Context
from protocols.jmap.email_bodies import (
    BODY_PROPERTIES,
    BODY_VALUED,
    BodyOptions,
    BodyReader,
    Message,
    is_part_property,
)
from protocols.jmap.errors import invalid_arguments
from protocols.jmap.fragments import FragmentCache
from protocols.jmap.header_forms import parse_header_property
from protocols.jmap.standard import PAGE_OBJECTS, Answer, Kind, get, read_changes, read_get
from protocols.jmap.values import Arguments, render_utc_date
from protocols.mime import parts
from protocols.ports import Blobs
from protocols.render.list_json import encode_value
from storage.engine import Rows
from storage.ids import AccountId, EmailId, MailboxId, parse_email, render_email
from storage.keys import TypeCode
from storage.mail import messages
from storage.mail.messages import ALL_MAIL
from storage.mail.pages import read_meta_rows, read_views
from storage.mail.records import (
    DELETED,
    LIST_PROPERTIES,
    EmailMeta,
    EmailView,
    is_visible,
    unpack_meta,
)

# Other tasks run after so many emails whose messages are opened: that takes a while each.
OPENED_EMAILS_PAGE: Final = 4


# Lists of the same newest emails are asked for again and again: what these give is kept, some 100
# octets each.
@lru_cache(maxsize=8192)
def mailbox_ids(mailboxes: tuple[tuple[MailboxId, int], ...]) -> bytes:
    """The mailboxIds property, encoded."""
    return b"{" + b",".join([b'"m%d":true' % mailbox for mailbox, _ in mailboxes]) + b"}"


@lru_cache(maxsize=8192)
def received_at(received_ms: int) -> bytes:
    """The receivedAt property, encoded."""
    return b'"%s"' % render_utc_date(received_ms).encode()


@lru_cache(maxsize=4096)
def keywords_object(keywords: tuple[str, ...]) -> bytes:
    """The keywords property, encoded; IMAP's \\Deleted is none of JMAP's (RFC 8621 4.1.1)."""
    return msgspec.json.encode({keyword: True for keyword in keywords if keyword != DELETED})


_META: Final[dict[str, Callable[[EmailMeta], bytes]]] = {
    "id": lambda meta: b'"e%d"' % meta.id,
    "blobId": lambda meta: b'"b%s"' % meta.blob.hex().encode(),
    "threadId": lambda meta: b'"t%d"' % meta.thread,
    "mailboxIds": lambda meta: mailbox_ids(meta.mailboxes),
    "keywords": lambda meta: keywords_object(meta.keywords),
    "size": lambda meta: b"%d" % meta.size,
    "receivedAt": lambda meta: received_at(meta.received_ms),
}
_VIEW: Final = {name: index for index, name in enumerate(LIST_PROPERTIES)}

# RFC 8621 4.2: the properties of an Email/get that names none.
EMAIL_DEFAULTS: Final = (
    *("id", "blobId", "threadId", "mailboxIds", "keywords", "size", "receivedAt"),
    *("messageId", "inReplyTo", "references", "sender", "from", "to", "cc", "bcc", "replyTo"),
    *("subject", "sentAt", "hasAttachment", "preview"),
    *("bodyValues", "textBody", "htmlBody", "attachments"),
)


def is_email_property(name: str) -> bool:
    """Whether an Email has this property."""
    return (
        name in _META
        or name in _VIEW
        or name in BODY_VALUED
        or parse_header_property(name) is not None
    )


def _all_emails(rows: Rows, account: AccountId, limit: int) -> Sequence[EmailId]:
    found = messages.by_date(rows, account, ALL_MAIL, newest_first=True, limit=limit)
    return [email for _, email, _ in found]


EMAIL: Final = Kind(
    name="Email",
    code=TypeCode.EMAIL,
    parse_id=parse_email,
    render_id=render_email,
    all_ids=_all_emails,
    known=is_email_property,
    default=EMAIL_DEFAULTS,
)


async def email_get(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 4.2."""
    arguments = Arguments(raw)
    call = read_get(context, EMAIL, arguments)
    options = read_body_options(arguments)
    arguments.done()
    renderer = EmailRenderer(
        context.rows,
        call.account,
        context.ports.blobs,
        call.properties,
        options,
        context.caller.fragments,
    )
    return await get(
        context,
        EMAIL,
        call,
        renderer.render,
        prefetch=renderer.prefetch,
        page_objects=OPENED_EMAILS_PAGE if renderer.opens_messages else PAGE_OBJECTS,
    )


def read_body_options(arguments: Arguments) -> BodyOptions:
    """RFC 8621 4.2: the arguments that Email/get and Email/parse share."""
    names = arguments.strings("bodyProperties")
    for name in names or ():
        if not is_part_property(name):
            raise invalid_arguments(f"a body part has no property {name[:200]!r}")
    return BodyOptions(
        properties=BODY_PROPERTIES if names is None else tuple(dict.fromkeys(names)),
        text_values=arguments.boolean("fetchTextBodyValues"),
        html_values=arguments.boolean("fetchHTMLBodyValues"),
        all_values=arguments.boolean("fetchAllBodyValues"),
        value_octets_max=arguments.unsigned("maxBodyValueBytes") or 0,
    )


class EmailRenderer:
    """Emails of one account as encoded objects with one set of properties."""

    def __init__(
        self,
        rows: Rows,
        account: AccountId,
        blobs: Blobs,
        properties: Sequence[str],
        options: BodyOptions,
        fragments: FragmentCache | None = None,
    ) -> None:
        """With `fragments`, what was rendered before is not rendered again."""
        self._rows = rows
        self._account = account
        self._blobs = blobs
        meta_names = [name for name in properties if name in _META]
        view_names = [name for name in properties if name in _VIEW]
        self._meta_readers = tuple(_META[name] for name in meta_names)
        self._meta_format = ",".join(f'"{name}":%b' for name in meta_names).encode()
        self._view_format = "".join(f',"{name}":%b' for name in view_names).encode()
        self._pick = _picker([_VIEW[name] for name in view_names])
        self._properties = tuple(properties)
        self._raw: dict[EmailId, bytes] = {}  # meta rows
        self._known: dict[EmailId, bytes] = {}
        self._views: dict[EmailId, EmailView] = {}
        reader = BodyReader(options)
        self._body_readers = tuple(
            (msgspec.json.encode(name), read)
            for name in properties
            if (read := reader.property_reader(name)) is not None
        )
        # What bodies tell may be large.
        self._fragments = None if self._body_readers else fragments

    @property
    def opens_messages(self) -> bool:
        """Some property is not in the rows."""
        return bool(self._body_readers)

    def prefetch(self, emails: Sequence[EmailId]) -> None:
        """Read the rows of the emails that will be rendered next, and forget others."""
        self._raw = read_meta_rows(self._rows, self._account, emails)
        self._known = {}
        if self._fragments is not None:
            account, properties, held = self._account, self._properties, self._fragments.get
            for email, raw in self._raw.items():
                if (encoded := held((account, properties, raw))) is not None:
                    self._known[email] = encoded
        if self._view_format:
            missing = [email for email in self._raw if email not in self._known]
            self._views = read_views(self._rows, self._account, missing)

    def render(self, email: EmailId) -> bytes | None:
        """A prefetched email as a JSON object; None when there is none that JMAP shows."""
        known = self._known.get(email)
        if known is not None:
            return known
        raw = self._raw.get(email)
        if raw is None or not is_visible(meta := unpack_meta(raw)):
            return None
        encoded = b"{" + self._meta_format % tuple([read(meta) for read in self._meta_readers])
        if self._view_format:
            encoded += self._view_format % self._pick(self._views[email].json)
        if self._body_readers:
            encoded += self._bodies(meta)
        encoded += b"}"
        if self._fragments is not None:
            self._fragments.keep((self._account, self._properties, raw), encoded)
        return encoded

    def _bodies(self, meta: EmailMeta) -> bytes:
        packed = messages.parts(self._rows, self._account, meta.id)
        assert packed is not None, (self._account, meta.id)
        message = Message(self._blobs, meta.blob, meta.size, parts.unpack(packed))
        return b"".join(
            b",%b:%b" % (name, encode_value(read(message))) for name, read in self._body_readers
        )


def _picker(indices: Sequence[int]) -> Callable[[tuple[bytes, ...]], tuple[bytes, ...]]:
    """A function that takes these items of a tuple, as a tuple."""
    if len(indices) > 1:
        return itemgetter(*indices)
    return lambda values: tuple(values[index] for index in indices)


async def email_changes(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 4.3."""
    answer, _ = read_changes(context, EMAIL, Arguments(raw))
    return answer
