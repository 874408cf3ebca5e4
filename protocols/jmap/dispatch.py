"""Runs the calls of a request in order and says what became of each (RFC 8620 3.4-3.6).

Calls are independent: one that fails answers with its error and the next one runs. Each response
is encoded as soon as it is made, so the size of an answer is known while it grows.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from protocols.jmap.capabilities import server_key, session_state
from protocols.jmap.context import Caller, Context
from protocols.jmap.errors import MethodError
from protocols.jmap.methods import METHODS
from protocols.jmap.request import Call, Request, Response, resolve_references
from protocols.ports import Unavailable

_LOG: Final = logging.getLogger("trireme.jmap")

# All responses of a request together; a call after that answers requestTooLarge. Each response
# is bounded by its own limits, so memory is bounded by this and one of them.
RESPONSES_OCTETS_MAX: Final = 64 * 1024 * 1024

_UNAVAILABLE: Final[Mapping[str, Any]] = {
    "type": "serverUnavailable",
    "description": "this cannot be answered now; try again",
}


async def answer(request: Request, caller: Caller) -> bytes:
    """The encoded Response object to a request (RFC 8620 3.4)."""
    responses: list[Response] = []
    created_ids = dict(request.created_ids or {})
    try:
        view = await caller.ports.reader.view()
    except Unavailable:
        responses = [_error(call, _UNAVAILABLE) for call in request.calls]
    else:
        context = Context(caller, view, created_ids, request.using)
        octets = 0
        for call in request.calls:
            for response in await _run(call, context, responses, octets):
                responses.append(response)
                octets += len(response.encoded)
    key = server_key(caller.ports.reader.local())
    state = session_state(caller.principal, caller.limits, key)
    return _encode(request, responses, created_ids, state)


def _encode(
    request: Request, responses: list[Response], created_ids: dict[str, str], state: str
) -> bytes:
    invocations = b",".join(
        b"[%b,%b,%b]" % (msgspec.json.encode(held.name), held.encoded, msgspec.json.encode(held.id))
        for held in responses
    )
    created = (
        b"" if request.created_ids is None else b',"createdIds":' + msgspec.json.encode(created_ids)
    )
    return b'{"methodResponses":[%b],"sessionState":"%b"%b}' % (
        invocations,
        state.encode(),
        created,
    )


async def _run(
    call: Call, context: Context, responses: list[Response], octets: int
) -> list[Response]:
    """The response to a call, and those of the methods it implies."""
    method = METHODS.get(call.name)
    if method is None or method.capability not in context.using:
        return [_error(call, {"type": "unknownMethod"})]
    answered = [await _run_method(call, context, responses, octets)]
    for name, arguments in context.take_implied():
        octets += len(answered[-1].encoded)
        implied = Call(name, arguments, call.id)
        answered.append(await _run_method(implied, context, responses, octets))
    return answered


async def _run_method(
    call: Call, context: Context, responses: list[Response], octets: int
) -> Response:
    try:
        if octets > RESPONSES_OCTETS_MAX:
            raise MethodError("requestTooLarge", "the answer to this request grows too large")
        arguments = resolve_references(call.arguments, responses)
        told = await METHODS[call.name].run(context, arguments)
        return Response(call.name, msgspec.json.encode(told), call.id)
    except MethodError as error:
        return _error(call, error.arguments())
    except Unavailable:
        return _error(call, _UNAVAILABLE)
    except RecursionError:
        # References may nest what was nested before; nothing that makes sense is so deep.
        return _error(call, {"type": "requestTooLarge", "description": "nested too deep"})
    except Exception:
        # A bug of ours: the caller is told, the log has the rest, the other calls are answered.
        _LOG.exception("%s failed", call.name)
        return _error(call, {"type": "serverFail", "description": "the server made a mistake"})


def _error(call: Call, arguments: Mapping[str, Any]) -> Response:
    return Response("error", msgspec.json.encode(arguments), call.id)


__all__ = ["Caller", "answer"]
