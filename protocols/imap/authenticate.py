"""AUTHENTICATE: the exchanges of RFC 9051 6.2.2 and RFC 4959, whatever their mechanism.

Offered where a password may cross only, SCRAM too: who is asked for one thing in clear is soon
asked for the other. What binds to the connection, and what its certificate opens, TLS tells
(`Context.channel`).
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from protocols import sasl
from protocols.bearer import TOKEN_MECHANISMS, Refusal, TokenExchange
from protocols.imap.commands import Authenticate
from protocols.imap.ops.context import Context
from protocols.imap.ops.login import BUSY, WRONG, logged_in, prove
from protocols.imap.responses import Ending, no
from protocols.ports import AuthBusy, AuthFailed, NotForOthers, ScopeMissing
from protocols.scram import Scram, ScramRefused

Ask = Callable[[bytes], Awaitable[bytes]]
"""Sends a challenge and receives the client's response, both as they are under the base64."""

_NO_TOKEN: Final = no("The token opens nothing here", b"AUTHENTICATIONFAILED")
_ASIDE: Final = no("Acting for another user is not offered", b"AUTHORIZATIONFAILED")


async def authenticate(context: Context, command: Authenticate, ask: Ask) -> Ending:
    """Carry the exchange out. Raises RemoteProtocolError, Unavailable."""
    if not context.may_send_secrets:
        return no("Start TLS first", b"PRIVACYREQUIRED")
    initial = command.initial
    response = None if initial is None else sasl.decode_initial_response(initial)
    match command.mechanism:
        case "PLAIN":
            return await _plain(context, response, ask)
        case "SCRAM-SHA-256":
            return await _scram(context, response, ask, plus=False)
        case "SCRAM-SHA-256-PLUS" if context.binds:
            return await _scram(context, response, ask, plus=True)
        case "EXTERNAL" if context.channel.certified:
            return await _external(context, response, ask)
        case "OAUTHBEARER" | "XOAUTH2" as mechanism:
            return await _token(context, TOKEN_MECHANISMS[mechanism](), response, ask)
    return no("No such mechanism", b"CANNOT")


async def _plain(context: Context, response: bytes | None, ask: Ask) -> Ending:
    """RFC 4616."""
    exchange = sasl.Plain()
    try:
        step = exchange.step(response)
        while isinstance(step, sasl.Challenge):
            step = exchange.step(await ask(step.data))
    except sasl.AuthorizationRefused:
        return _ASIDE
    return await prove(context, step, "AUTHENTICATE")


async def _scram(context: Context, response: bytes | None, ask: Ask, *, plus: bool) -> Ending:
    """RFC 5802 5, RFC 7677; our last word is a challenge, to which nothing is said.

    A failure has no last word, which may be left out (RFC 5802 5.1 e): a client would have to
    answer it. What there was to say in it is in the ending.
    """
    exchange = Scram(context.channel.binding, plus=plus)
    try:
        username, other = exchange.first(await ask(b"") if response is None else response)
        if other and other.casefold() != username.casefold():
            return _ASIDE
        attempt = await context.ports.auth.scram(username, remote=context.peer_ip)
        response = await ask(exchange.challenge(attempt.keys, attempt.nonce))
        principal, verifier = attempt.prove(partial(exchange.final, response))
    except AuthBusy:
        return BUSY
    except AuthFailed:
        return WRONG
    except ScramRefused as error:
        return no(f"SCRAM says e={error}", b"AUTHENTICATIONFAILED")
    if await ask(verifier):
        raise sasl.SaslError("nothing is to be said after the proof")
    return logged_in(context, principal, "AUTHENTICATE")


async def _external(context: Context, response: bytes | None, ask: Ask) -> Ending:
    """RFC 4422 A: a certificate that TLS has verified opens the account whose address it names."""
    exchange = sasl.External()
    step = exchange.step(response)
    while isinstance(step, sasl.Challenge):
        step = exchange.step(await ask(step.data))
    try:
        principal = await context.ports.auth.certificate(
            context.channel.certified, authzid=step.authzid, remote=context.peer_ip
        )
    except NotForOthers:
        return _ASIDE
    except AuthFailed:
        return no("The certificate names no account here", b"AUTHENTICATIONFAILED")
    except AuthBusy:
        return BUSY
    return logged_in(context, principal, "AUTHENTICATE")


async def _token(
    context: Context, exchange: TokenExchange, response: bytes | None, ask: Ask
) -> Ending:
    """RFC 7628 3; what refuses a token is a challenge, and whatever is said to it ends in NO."""
    step = exchange.step(response)
    while isinstance(step, sasl.Challenge):
        step = exchange.step(await ask(step.data))
    refusal, ending = Refusal.TOKEN, _NO_TOKEN
    if step.token:
        try:
            principal = await context.ports.auth.bearer(
                step.token, authzid=step.authzid, remote=context.peer_ip
            )
        except AuthBusy:
            return BUSY
        except NotForOthers:
            refusal, ending = Refusal.REQUEST, _ASIDE
        except ScopeMissing:
            refusal = Refusal.SCOPE
        except AuthFailed:
            pass
        else:
            return logged_in(context, principal, "AUTHENTICATE")
    await ask(exchange.refuse(refusal, metadata_url=context.door.metadata_url).data)
    return ending
