"""RFC 8620 5.4, /copy, written once: its arguments, and what follows when originals shall go."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from protocols.jmap.context import Context
from protocols.jmap.errors import MethodError, invalid_arguments
from protocols.jmap.standard_set import expect_state
from protocols.jmap.values import Arguments
from storage.ids import AccountId
from storage.keys import TypeCode


@dataclass(frozen=True, slots=True)
class CopyCall:
    """A /copy call's arguments, checked."""

    from_account: AccountId
    account: AccountId
    if_in_state: str | None
    create: dict[str, dict[str, Any]]
    destroy_originals: bool
    destroy_if_in_state: str | None


def read_copy(context: Context, code: TypeCode, arguments: Arguments) -> CopyCall:
    """The arguments of a /copy, and the state it copies from."""
    from_account = context.account(arguments, "fromAccountId", missing="fromAccountNotFound")
    account = context.account(arguments)
    if from_account == account:
        raise invalid_arguments("an account's objects are not copied into itself")
    if arguments.raw("create") is None:
        raise invalid_arguments("create is missing")
    from_state = arguments.string("ifFromInState")
    call = CopyCall(
        from_account,
        account,
        arguments.string("ifInState"),
        arguments.objects("create"),
        arguments.boolean("onSuccessDestroyOriginal"),
        arguments.string("destroyFromIfInState"),
    )
    arguments.done()
    if len(call.create) > context.limits.set_objects_max:
        raise MethodError("requestTooLarge", f"{len(call.create)} objects are too many")
    expect_state(context.rows, from_account, code, from_state)
    return call


def destroy_originals(context: Context, call: CopyCall, kind: str, copied: Iterable[str]) -> None:
    """The /set that takes away what was copied, when the client asked for that."""
    ids = list(dict.fromkeys(copied))
    if not call.destroy_originals or not ids:
        return
    arguments: dict[str, Any] = {"accountId": f"a{call.from_account}", "destroy": ids}
    if call.destroy_if_in_state is not None:
        arguments["ifInState"] = call.destroy_if_in_state
    context.imply(f"{kind}/set", arguments)
