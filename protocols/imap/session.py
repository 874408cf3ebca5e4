"""IMAP over a stream: one request after the other, news between them and during IDLE.

What a command answers is gathered and sent in large pieces; endings of pipelined commands leave
together. Every way the house can refuse becomes a tagged NO in one place (refusals.py). A
connection is one task, and one more while it waits and news may be told (telling.py), in IDLE and
after NOTIFY, or while APPENDs are committed as others come in (uploads.py).
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Final

import trio

from protocols import sasl
from protocols.errors import RemoteProtocolError
from protocols.imap import commands as c
from protocols.imap.append_commands import Append, Replace
from protocols.imap.authenticate import authenticate
from protocols.imap.connection_commands import Compress, Unauthenticate
from protocols.imap.core import NEEDS_MAILBOX, Core, LiteralRoom, Phase, Request
from protocols.imap.fetch_commands import Fetch
from protocols.imap.limits import APPEND_BYTES_MAX
from protocols.imap.ops import OPS, append
from protocols.imap.ops.bodies import BrokenOff
from protocols.imap.ops.context import SEND_BYTES_MAX, Context, Door, Outbox
from protocols.imap.ops.login import capabilities
from protocols.imap.ops.own import NotedWriter
from protocols.imap.refusals import REFUSALS, ending_of
from protocols.imap.responses import (
    Ending,
    bad,
    bye,
    continuation,
    ok,
    render_ending,
    untagged_ok,
)
from protocols.imap.search_commands import Search, Sort, Thread, counts_messages
from protocols.imap.telling import tell, telling
from protocols.imap.uploads import Upload, Uploads
from protocols.ports import Ports
from protocols.serve import COMMAND_S, Closing, Fault, OpeningHours, Patience, run_connection
from protocols.stream import DoorStream, PeerGone, PeerSlow
from protocols.tls_stream import TlsContext
from storage.ids import AccountId

# RFC 9051 5.4: an autologout timer is 30 minutes at least; a minute for the clock of the client.
AUTOLOGOUT_S: Final = 31 * 60.0
# A literal of the largest size at 100 KB/s.
LITERAL_S: Final = 600.0
# The line that ends IDLE is four letters; whoever sends another has lost the thread.
DONE_BYTES_MAX: Final = 1024
# Endings of pipelined commands that take longer than this do not wait for one another: dozens of
# APPENDs come in with one receive, and who hears nothing of them meanwhile takes us for dead.
TOGETHER_S: Final = 0.1
# Failed logins until the connection ends.
LOGIN_FAILURES_MAX: Final = 5

# During these an EXPUNGE may not be told (RFC 9051 7.5.1); their UID forms allow it.
_NUMBERED: Final = (Fetch, c.Store, Search, Sort, Thread)
# These begin or end the selection and tell what is due themselves.
_SELECTION: Final = (c.Select, c.Close, c.Logout)


class ImapDoor:
    """The IMAP door of a node: what its connections share."""

    def __init__(
        self,
        ports: Ports,
        *,
        tls: TlsContext | None = None,
        room: LiteralRoom | None = None,
        jmap_url: str | None = None,
        metadata_url: str | None = None,
        url_applications: Mapping[str, Collection[str]] | None = None,
        autologout_s: float = AUTOLOGOUT_S,
        message_limit: int = 0,
        save_limit: int = 0,
        append_bytes_max: int = APPEND_BYTES_MAX,
    ) -> None:
        self.ports = ports
        self.tls = tls
        self.autologout_s = autologout_s
        self.hours = OpeningHours()
        self.shared = Door(
            room=room,
            jmap_url=jmap_url,
            metadata_url=metadata_url,
            url_applications=url_applications,
            message_limit=message_limit,
            save_limit=save_limit,
            append_bytes_max=append_bytes_max,
        )

    async def converse(self, transport: trio.abc.Stream, peer_ip: str, secure: bool) -> None:
        """Serve one accepted connection to its end; `secure` when TLS is on already."""
        stream = DoorStream(transport, peer_ip=peer_ip, secure=secure)
        session = ImapSession(self, stream)
        try:
            await run_connection(stream, session, self.hours)
        finally:
            session.core.release()


class ImapSession:
    """One connection."""

    def __init__(self, door: ImapDoor, stream: DoorStream) -> None:
        self._door = door
        self._stream = stream
        self._failures = 0
        self._patience_for = ""
        self._uploads: Uploads | None = None  # while APPENDs follow one another
        self._sending = trio.Lock()
        self.core = Core(door.shared.room, door.shared.append_bytes_max)
        self._context = self._stranger(Outbox(self._send))

    def _stranger(self, out: Outbox) -> Context:
        """All that a connection knows before anyone has logged in."""
        door, stream = self._door, self._stream
        own: set[tuple[AccountId, int]] = set()
        return Context(
            ports=replace(door.ports, writer=NotedWriter(door.ports.writer, own)),
            own=own,
            door=door.shared,
            out=out,
            peer_ip=stream.peer_ip,
            may_send_secrets=stream.may_send_secrets,
            channel=stream,
            offers_tls=door.tls is not None and not stream.secure,
        )

    # --- serve.Session

    async def run(self, patience: Patience) -> None:
        """Greet and converse to the end."""
        context = self._context
        now_s, began_s = context.ports.clock.monotonic_s, 0.0
        context.out.add(untagged_ok(f"{context.ports.hostname} ready", capabilities(context)))
        while self.core.phase is not Phase.LOGOUT:
            request = await self._next_request(patience)
            if self._is_upload(request):
                request = await self._upload(request, patience)
            patience.lift()
            self._patience_for = ""
            if not context.out.lines:
                began_s = now_s()
            ending = await self._carry_out(request, patience)
            self._move(patience)
            await self._catch_up(request.command)
            if ending is not None:
                context.out.add(render_ending(request.tag, ending))
            failed = self._count_failures(ending)
            if context.out.full or failed or now_s() - began_s > TOGETHER_S:
                await context.out.flush()
            if failed:
                raise RemoteProtocolError("too many failed logins")
        await context.out.flush()

    def farewell(self, fault: Fault) -> bytes:
        """BYE and why (RFC 9051 7.1.5)."""
        match fault:
            case PeerSlow():
                return bye("Autologout: waited too long")
            case Closing():
                return bye("The server is stopping", b"UNAVAILABLE")
            case _:
                return bye(str(fault))

    # --- bytes

    async def _send(self, octets: bytes) -> None:
        if self._uploads is None:
            await self._send_pieces(octets)
            return
        async with self._sending:  # a continuation may be due while answers leave
            await self._send_pieces(octets)

    async def _send_pieces(self, octets: bytes) -> None:
        for start in range(0, len(octets), SEND_BYTES_MAX):
            await self._stream.send_all(memoryview(octets)[start : start + SEND_BYTES_MAX])

    async def _next_request(self, patience: Patience) -> Request:
        out = self._context.out
        while True:
            try:
                request = self.core.next_request()
            except RemoteProtocolError:
                await self._say(self.core.take_output())  # why, before BYE
                await out.flush()
                raise
            if said := self.core.take_output():
                await self._say(said)
            if request is not None:
                self._context.check_access()
                return request
            await out.flush()
            if self._context.notified is None or self.core.mid_command or self.core.mid_literal:
                await self._receive(patience)
            else:
                await telling(self._context, lambda: self._receive(patience), idle=False)

    async def _say(self, said: bytes) -> None:
        """What the core says: go on with a literal, at once; a refusal in its turn."""
        if self._uploads is not None and said != continuation():
            await self._uploads.wait_answered()
        self._context.out.add(said)

    async def _next_line(self, patience: Patience, bytes_max: int) -> bytes:
        while (line := self.core.next_line(bytes_max)) is None:
            await self._receive(patience)
        return line

    async def _receive(self, patience: Patience) -> None:
        """Some octets. Time runs from the first octet of a command, not anew with each."""
        waiting_for = "command"
        if self.core.mid_literal:
            waiting_for = "literal"
        elif self.core.mid_command:
            waiting_for = "line"
        if waiting_for != self._patience_for:
            self._patience_for = waiting_for
            limits = {"command": self._door.autologout_s, "line": COMMAND_S, "literal": LITERAL_S}
            patience.allow(limits[waiting_for])
        with patience.rest() if waiting_for == "command" else nullcontext():
            data = await self._stream.receive_some(self.core.wanted)
        if not data:
            raise PeerGone("the client closed the connection")
        if waiting_for == "literal":
            self._stream.acknowledge()  # the end of the line may be waiting for it
        self.core.receive(data)
        if self._uploads is not None:
            self._uploads.received += len(data)

    # --- requests

    async def _carry_out(self, request: Request, patience: Patience) -> Ending | None:
        """Do it; whatever the world refuses is the ending. None: the ending is said already."""
        context = self._context
        context.began(request.tag)
        try:
            match request.command:
                case c.StartTls():
                    return await self._start_tls(request.tag)
                case c.Authenticate() as command:
                    return await self._authenticate(command, patience)
                case Compress():
                    return await self._compress(request.tag)
                case Unauthenticate():
                    return await self._unauthenticate(request.tag, patience)
                case c.Idle():
                    return await self._idle(patience)
                case command:
                    if type(command) in NEEDS_MAILBOX:
                        context.check_readable()
                    return context.with_limit(await OPS[type(command)](context, command))
        except REFUSALS as error:
            return ending_of(error)
        except BrokenOff as error:
            # A literal is begun and its octets are no more: nothing that follows could be read.
            raise PeerGone("hung up in the middle of a message that went away") from error
        finally:
            self._door.shared.room.give(request.held)

    def _move(self, patience: Patience) -> None:
        """The core's phase follows what the op has done."""
        context, core = self._context, self.core
        core.utf8, core.takes_charset = context.utf8, not context.accepts_utf8
        core.uid_only = context.uid_only
        if context.logged_out:
            core.logged_out()
        elif context.principal is None:
            return
        elif core.phase is Phase.NOT_AUTHENTICATED:
            core.authenticated()
            patience.trust()
        elif context.selected is not None:
            core.selected()
        else:
            core.unselected()

    async def _catch_up(self, command: c.Command) -> None:
        """RFC 9051 5.2: what else happened, before the ending."""
        if isinstance(command, _SELECTION):
            return
        numbered = isinstance(command, _NUMBERED) and not command.uid
        if isinstance(command, Search | Sort | Thread):  # RFC 7162 3.2.10.2
            numbered = numbered or counts_messages(command.key)
        moves = isinstance(command, c.Copy) and command.move
        asked = moves or isinstance(command, c.Expunge | Replace)
        await tell(self._context, expunges=not numbered, asked=asked)

    def _count_failures(self, ending: Ending | None) -> bool:
        """True: whoever it is has guessed often enough."""
        if ending is not None and ending.code == b"AUTHENTICATIONFAILED":
            self._failures += 1
        return self._failures >= LOGIN_FAILURES_MAX

    # --- APPENDs that follow one another

    def _is_upload(self, request: Request) -> bool:
        """After NOTIFY news is told while the client is waited for: one thing at a time."""
        context, command = self._context, request.command
        if not isinstance(command, Append) or context.notified is not None:
            return False
        return append.goes_along(context, command)

    async def _upload(self, first: Request, patience: Patience) -> Request:
        """Carry out APPENDs until something else is asked for; returns that, when all are answered.

        Those that have come whole are carried out also when the client says no more, or nonsense.
        """
        await self._context.out.flush()
        uploads = Uploads(self._append_along, self._door.shared.room, patience)
        self._uploads = uploads
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(uploads.run)
                fault, after = None, first
                try:
                    after = await self._take_uploads(uploads, first, patience)
                except (PeerGone, RemoteProtocolError, Closing) as error:
                    fault = error
                uploads.close()
        finally:
            uploads.release()
            self._uploads = None
        if fault is not None:
            raise fault
        return after

    async def _take_uploads(
        self, uploads: Uploads, request: Request, patience: Patience
    ) -> Request:
        """Hand over one after the other; the first request that is none."""
        while self._is_upload(request):
            uploads.hold(request)
            patience.lift()
            self._patience_for = ""
            assert isinstance(request.command, Append)
            try:
                incoming = await append.take_in(self._context, request.command)
            except REFUSALS as error:
                incoming = ending_of(error)
            uploads.add(Upload(request, incoming))
            await uploads.wait_room()
            request = await self._next_request(patience)
        return request

    async def _append_along(self, group: Sequence[Upload]) -> None:
        """Carry out a group and answer it."""
        context = self._context
        context.began(group[0].request.tag)
        ready = [one.incoming for one in group if isinstance(one.incoming, append.Incoming)]
        try:
            done = iter(await append.append_along(context, ready) if ready else [])
        except REFUSALS as error:
            done = iter([ending_of(error)] * len(ready))
        await self._catch_up(group[0].request.command)
        for one in group:
            ending = one.incoming if isinstance(one.incoming, Ending) else next(done)
            context.out.add(render_ending(one.request.tag, ending))
        await context.out.flush()

    # --- commands that concern the stream

    async def _start_tls(self, tag: bytes) -> Ending | None:
        """RFC 9051 6.2.1: the ending goes out in clear, all after it under TLS."""
        context = self._context
        if not context.offers_tls:
            return bad("TLS is not offered, or on already")
        assert self._door.tls is not None
        context.out.add(render_ending(tag, ok("Begin TLS negotiation")))
        await context.out.flush()
        self.core.tls_started()
        await self._stream.start_tls(self._door.tls)
        context.offers_tls = False
        context.may_send_secrets = self._stream.may_send_secrets
        return None

    async def _compress(self, tag: bytes) -> Ending | None:
        """RFC 4978 3: the ending goes out as it is, all after it compressed."""
        context = self._context
        if context.compressed:
            return bad("Compression is active already", b"COMPRESSIONACTIVE")
        if self.core.mid_command:
            # It was sent before our answer was seen: whether compressed nobody could tell.
            return bad("Nothing may follow COMPRESS before its answer")
        context.out.add(render_ending(tag, ok("DEFLATE active")))
        await context.out.flush()
        self._stream.start_deflate()
        context.compressed = True
        return None

    async def _unauthenticate(self, tag: bytes, patience: Patience) -> Ending | None:
        """RFC 8437 3: all that the connection knows of a person is forgotten, TLS stays."""
        context = self._context
        if context.compressed and (self.core.mid_command or not self._stream.inflated):
            # Compression ends with the command (4.1); where, nobody could tell. There is no NO.
            context.logged_out = True
            context.out.add(bye("Compressed octets after UNAUTHENTICATE"))
            return None
        context.out.add(render_ending(tag, ok("UNAUTHENTICATE completed")))
        if context.compressed:
            await context.out.flush()
            self._stream.stop_deflate()
        self._context = self._stranger(context.out)
        self.core.unauthenticated()
        patience.distrust()
        return None

    async def _authenticate(self, command: c.Authenticate, patience: Patience) -> Ending:
        """RFC 9051 6.2.2, RFC 4959."""
        out = self._context.out

        async def ask(challenge: bytes) -> bytes:
            out.add(continuation(sasl.encode_challenge(sasl.Challenge(challenge))))
            await out.flush()
            line = await self._next_line(patience, sasl.RESPONSE_LINE_BYTES_MAX)
            patience.lift()
            self._patience_for = ""
            return sasl.decode_response(line)

        return await authenticate(self._context, command, ask)

    async def _idle(self, patience: Patience) -> Ending:
        """RFC 9051 6.3.13, RFC 2177."""
        context = self._context
        await context.barrier()
        context.out.add(continuation(b"idling"))
        assert context.principal is not None
        by_token = context.principal.access is not None  # which may be taken back meanwhile
        if context.selected is None and not context.listens and not by_token:
            await context.out.flush()
            line = await self._next_line(patience, DONE_BYTES_MAX)
        else:
            line = await telling(
                context, lambda: self._next_line(patience, DONE_BYTES_MAX), idle=True
            )
        if line.upper() != b"DONE":
            return bad("Expected DONE")
        return ok("IDLE completed")
