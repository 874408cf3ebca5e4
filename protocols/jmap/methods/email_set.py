"""RFC 8621 4.6 Email/set: create from parts, change keywords and mailboxes, destroy.

All but keywords and mailboxIds is immutable; it may be sent in an update when it is sent as it is.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from protocols.jmap.context import Context
from protocols.jmap.email_bodies import BodyOptions
from protocols.jmap.email_places import mailbox_numbers, no_such_mailbox, refuse_hidden
from protocols.jmap.errors import SetError, invalid_properties
from protocols.jmap.methods.email_create import EmailDraft, create_draft, prepare_draft
from protocols.jmap.methods.email_get import EMAIL, EmailRenderer, is_email_property
from protocols.jmap.patches import patched_set, split_patch
from protocols.jmap.standard import Answer
from protocols.jmap.standard_set import Resolve, Rules, read_set, set_objects
from protocols.jmap.values import Arguments
from protocols.ports import Blobs
from storage.ids import AccountId, EmailId, parse_mailbox
from storage.mail.errors import MailboxNotFound
from storage.mail.keywords import plan_keywords
from storage.mail.messages import visible_meta
from storage.mail.moves import plan_destroy, plan_mailboxes
from storage.plan import Plan

_CHANGEABLE: Final = frozenset(("keywords", "mailboxIds"))


async def email_set(context: Context, raw: Mapping[str, Any]) -> Answer:
    """RFC 8621 4.6."""
    arguments = Arguments(raw)
    call = read_set(context, arguments)
    arguments.done()
    blobs = context.ports.blobs

    def update(
        plan: Plan, account: AccountId, email: EmailId, patch: dict[str, Any], resolve: Resolve
    ) -> None:
        update_email(plan, account, email, patch, resolve, blobs)

    rules: Rules[EmailId, EmailDraft] = Rules(
        prepare=prepare_draft, create=create_draft, update=update, destroy=_destroy
    )
    outcome = await set_objects(context, EMAIL, rules, call)
    return outcome.answer(call.account)


def update_email(
    plan: Plan,
    account: AccountId,
    email: EmailId,
    patch: Mapping[str, Any],
    resolve: Resolve,
    blobs: Blobs,
) -> None:
    """Patch one email; raises SetError or MailError."""
    if visible_meta(plan, account, email) is None:
        raise SetError("notFound")
    split = split_patch(patch)
    _check_immutable(plan, account, email, split, blobs)
    if "mailboxIds" in split:
        replace, add, remove = patched_set("mailboxIds", split["mailboxIds"])
        try:
            plan_mailboxes(
                plan,
                account,
                email,
                add=mailbox_numbers(add, resolve),
                remove=[found for text in remove if (found := parse_mailbox(resolve(text)))],
                replace=None if replace is None else mailbox_numbers(replace, resolve),
            )
        except MailboxNotFound as error:
            raise no_such_mailbox(error) from None
    if "keywords" in split:
        replace, add, remove = patched_set("keywords", split["keywords"])
        refuse_hidden([*add, *remove, *(replace or ())])
        plan_keywords(plan, account, email, add=add, remove=remove, replace=replace)


def _check_immutable(
    plan: Plan,
    account: AccountId,
    email: EmailId,
    split: Mapping[str, Mapping[str, Any]],
    blobs: Blobs,
) -> None:
    fixed = [name for name in split if name not in _CHANGEABLE]
    if not fixed:
        return
    if deep := [name for name in fixed if "" not in split[name]]:
        # RFC 8620 5.3: what is before the last part of a pointer is no object, or not there.
        raise SetError("invalidPatch", f"nothing can be patched in {deep[0][:200]!r}")
    if unknown := [name for name in fixed if not is_email_property(name)]:
        raise invalid_properties("unknown properties", *unknown)
    if "bodyValues" in fixed:
        raise invalid_properties("bodies are immutable", "bodyValues")
    renderer = EmailRenderer(plan, account, blobs, ("id", *fixed), BodyOptions())
    renderer.prefetch([email])
    encoded = renderer.render(email)
    assert encoded is not None, (account, email)
    held = msgspec.json.decode(encoded)
    changed = [name for name in fixed if held[name] != split[name][""]]
    if changed:
        raise invalid_properties("immutable properties", *changed)


def _destroy(plan: Plan, account: AccountId, email: EmailId) -> None:
    if visible_meta(plan, account, email) is None:
        raise SetError("notFound")
    plan_destroy(plan, account, email)
