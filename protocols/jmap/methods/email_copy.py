"""RFC 8621 4.7 Email/copy: emails of one account into another. The message stays what it is."""

from collections.abc import Mapping
from typing import Any, Final

from protocols.delivery import prepare
from protocols.jmap.context import Context
from protocols.jmap.email_places import read_places
from protocols.jmap.errors import SetError, invalid_properties
from protocols.jmap.methods.email_import import Arrival, arrive
from protocols.jmap.sections import read_ref
from protocols.jmap.standard import Answer
from protocols.jmap.standard_copy import CopyCall, destroy_originals, read_copy
from protocols.jmap.values import Arguments, render_utc_date
from storage.ids import BlobRef, parse_email
from storage.keys import TypeCode
from storage.mail.messages import visible_meta

_PROPERTIES: Final = frozenset(("id", "mailboxIds", "keywords", "receivedAt"))


async def email_copy(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 4.7."""
    call = read_copy(context, TypeCode.EMAIL, Arguments(raw))

    def read(values: Mapping[str, Any]) -> Arrival:
        return _read(context, call, values)

    answer = await arrive(context, call.account, call.if_in_state, call.create, read)
    originals = [context.resolve(call.create[key]["id"]) for key in answer["created"] or ()]
    destroy_originals(context, call, "Email", originals)
    return {"fromAccountId": f"a{call.from_account}", **answer}


def _read(context: Context, call: CopyCall, values: Mapping[str, Any]) -> Arrival:
    unknown = values.keys() - _PROPERTIES
    if unknown:
        raise invalid_properties("a copy is of the same message", *sorted(unknown))
    text = values.get("id")
    if not isinstance(text, str):
        raise invalid_properties("the id of the original is missing", "id")
    number = parse_email(context.resolve(text))
    original = number and visible_meta(context.rows, call.from_account, number)
    message = original and read_ref(context.ports.blobs, BlobRef(original.blob))
    if not original or message is None:
        raise SetError("notFound", "there is no such original")
    places = read_places(
        {
            "keywords": dict.fromkeys(original.keywords, True),
            "receivedAt": render_utc_date(original.received_ms),
            **values,
        },
        context.ports.clock.now_ms(),
    )
    assert message, "a message is never empty"
    return Arrival(
        prepare(message, received_ms=places.received_ms),
        places.mailboxes(context.resolve),
        places.keywords,
        message,
    )
