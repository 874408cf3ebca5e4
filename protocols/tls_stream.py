"""TLS of the mail doors: a Trio stream over OpenSSL's memory, that tells what it is made of.

The standard library's TLS gives neither a name to a connection that both ends know and nobody
else (channel binding, RFC 5056) nor, under TLS 1.3, any way to make one; pyOpenSSL does. Here its
octets are carried between its memory and the transport, as the server:

receive   what came is put in until something comes out; what OpenSSL says by itself meanwhile (an
          alert, its part of a KeyUpdate) goes out before we wait
send      at most RECORDS_BYTES_MAX are enciphered at a time, which bounds the memory
order     all that leaves is taken out of OpenSSL under one lock, so records stay in order
broken    after a send that stopped in the middle, or a record that is not the peer's, nothing
          goes any more: trio.BrokenResourceError
close     close_notify goes out first. The peer's own may be missing: many clients leave that way,
          and our protocols frame what they say, so nothing is cut unnoticed

Nothing is renegotiated or resumed (node/tls.py): one connection is one handshake, and who is at
the other end was looked at in it.
"""

import os
from dataclasses import dataclass
from typing import Final, NoReturn

import trio
from cryptography import x509
from OpenSSL import SSL
from OpenSSL._util import lib as _openssl

from protocols.sockets import read_next

KIB: Final = 1024
# What is enciphered and handed on at once: eight records of TLS.
RECORDS_BYTES_MAX: Final = 128 * KIB
# What is taken from the transport at once.
RECEIVE_BYTES_MAX: Final = 64 * KIB
# Answers up to this let nobody else have a turn, when something was waited for since the last.
PROMPT_BYTES_MAX: Final = 4 * KIB
# At least what RECORDS_BYTES_MAX become under TLS (22 octets more for each 16 KiB).
_OUT_BYTES: Final = RECORDS_BYTES_MAX + 4 * KIB
# Addresses of one certificate; a person has some, not hundreds. One with more is nobody's: to look
# at some of them would pass over the second account that they may name.
NAMES_MAX: Final = 16
# RFC 5321 4.5.3.1.3: no address is longer.
ADDRESS_CHARS_MAX: Final = 320

# RFC 9266 2.
_EXPORTER_LABEL: Final = b"EXPORTER-Channel-Binding"
_EXPORTER_BYTES: Final = 32
# RFC 9598 3, and its DER: a UTF8String.
_SMTP_UTF8_MAILBOX: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.9")
_UTF8_STRING: Final = 0x0C


@dataclass(frozen=True, slots=True)
class TlsContext:
    """What the connections of the mail doors have in common."""

    openssl: SSL.Context
    end_point: bytes | None = None
    """tls-server-end-point (RFC 5929 4.1): a hash of our certificate; None: it has none."""


class TlsStream(trio.abc.HalfCloseableStream):
    """The server's side of one connection; `do_handshake` comes first."""

    def __init__(self, transport: trio.abc.Stream, context: TlsContext) -> None:
        self.transport = transport
        # A socket is written and read without the layer between the kernel and us.
        self._socket = transport.socket if isinstance(transport, trio.SocketStream) else None
        self._context = context
        self._tls = SSL.Connection(context.openssl)
        self._tls.set_accept_state()
        self._leaving = trio.Lock()
        self._shaken = False
        self._ended = False  # the transport has nothing more to give
        self._broken = False
        self._said_all = False  # close_notify is said
        self._closed = False
        self._receiving = False
        self._sending = False
        self._waited = False  # others have had their turn since our last small answer
        self.certified: tuple[str, ...] = ()
        """The mail addresses in the client's certificate, which OpenSSL has verified."""

    async def do_handshake(self) -> None:
        """Raises trio.BrokenResourceError; the alert that says why is sent."""
        while True:
            self._check()
            try:
                self._tls.do_handshake()
            except SSL.WantReadError:
                await self._push()
                if self._ended:
                    self._broken = True
                    raise trio.BrokenResourceError("gone in the middle of the handshake") from None
                await self._fetch()
            except SSL.Error as error:
                await self._break(error)
            else:
                await self._push()
                self._shaken = True
                self.certified = self._addresses()
                return

    # --- trio.abc.HalfCloseableStream

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Some octets; b"" when the peer has said its last, with close_notify or without."""
        if self._receiving:
            raise trio.BusyResourceError("another task is receiving")
        self._receiving = True
        try:
            return await self._receive(RECEIVE_BYTES_MAX if max_bytes is None else max_bytes)
        finally:
            self._receiving = False

    async def _receive(self, bytes_max: int) -> bytes:
        waited = False
        while True:
            self._check()
            try:
                data = self._tls.recv(bytes_max)
            except SSL.WantReadError:
                await self._push()
                if self._ended:
                    return b""
                await self._fetch()
                waited = True
                continue
            except SSL.ZeroReturnError:
                data = b""
            except SSL.Error as error:
                await self._break(error)
            if not waited:
                await trio.lowlevel.checkpoint()
            return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send it all. Stopped in the middle, nothing can be sent any more."""
        if self._sending:
            raise trio.BusyResourceError("another task is sending")
        self._sending = True
        try:
            if not self._waited or len(data) > PROMPT_BYTES_MAX:
                await trio.lowlevel.checkpoint()
            self._waited = False
            octets = memoryview(data)
            for start in range(0, len(octets), RECORDS_BYTES_MAX):
                self._check()
                try:
                    self._tls.sendall(octets[start : start + RECORDS_BYTES_MAX])
                except SSL.Error as error:
                    await self._break(error)
                await self._push()
        finally:
            self._sending = False

    async def wait_send_all_might_not_block(self) -> None:
        """Until the transport takes something."""
        self._check()
        async with self._leaving:
            await self.transport.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """close_notify, and the end of the transport's stream where it has one of its own."""
        self._check()
        self._say_close()
        await self._push()
        if isinstance(self.transport, trio.abc.HalfCloseableStream):
            async with self._leaving:
                await self.transport.send_eof()

    async def aclose(self) -> None:
        """Say close_notify, as far as the peer takes it, and close the transport."""
        try:
            if not (self._closed or self._broken or self._leaving.locked()):
                self._say_close()
                await self._push()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the peer has gone first
        finally:
            self._closed = True
            await self.transport.aclose()

    # --- between OpenSSL's memory and the transport

    async def _fetch(self) -> None:
        """Wait for the transport, and put in what came."""
        self._waited = True
        if self._socket is None:
            data: bytes | bytearray = await self.transport.receive_some(RECEIVE_BYTES_MAX)
        else:
            data = await read_next(self._socket, RECEIVE_BYTES_MAX)
        if data:
            self._tls.bio_write(data)
        else:
            self._ended = True

    async def _push(self) -> None:
        """Send all that OpenSSL has ready; stopped in the middle, the stream is broken."""
        try:
            self._leaving.acquire_nowait()
        except trio.WouldBlock:
            await self._leaving.acquire()
        try:
            while (octets := self._taken()) is not None:
                self._check()
                try:
                    rest = octets if self._socket is None else self._write(self._socket, octets)
                    if rest:
                        await self.transport.send_all(rest)
                except BaseException:
                    self._broken = True
                    raise
        finally:
            self._leaving.release()

    def _taken(self) -> bytes | None:
        try:
            return self._tls.bio_read(_OUT_BYTES)
        except SSL.WantReadError:
            return None

    @staticmethod
    def _write(socket: trio.socket.SocketType, octets: bytes) -> memoryview | bytes:
        """As much as the kernel takes now; gives back the rest."""
        try:
            sent = os.write(socket.fileno(), octets)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise trio.BrokenResourceError from error
        return b"" if sent == len(octets) else memoryview(octets)[sent:]

    def _say_close(self) -> None:
        if self._shaken and not self._said_all:
            self._said_all = True
            try:
                self._tls.shutdown()
            except SSL.Error:
                self._broken = True

    async def _break(self, error: SSL.Error) -> NoReturn:
        """OpenSSL will have no more of it: the alert that says why goes out, then nothing."""
        try:
            await self._push()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the peer has gone already
        self._broken = True
        raise trio.BrokenResourceError from error

    def _check(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError
        if self._broken:
            raise trio.BrokenResourceError

    # --- what the connection is made of

    def _addresses(self) -> tuple[str, ...]:
        try:
            certificate = self._tls.get_peer_certificate(as_cryptography=True)
        except (ValueError, x509.InvalidVersion):
            return ()  # OpenSSL is content with what others cannot read
        return () if certificate is None else mail_addresses(certificate)

    def binding(self, kind: str) -> bytes | None:
        """The channel binding data of a type (RFC 5056 2.1), None when it has none here."""
        match kind:
            case "tls-exporter" if self._is_unique:
                return self._tls.export_keying_material(_EXPORTER_LABEL, _EXPORTER_BYTES, b"")
            case "tls-unique" if self._is_unique and self._version == SSL.TLS1_2_VERSION:
                # RFC 5929 3.1: the first Finished, which without resumption is the client's.
                return self._tls.get_peer_finished()
            case "tls-server-end-point":
                return self._context.end_point
        return None

    @property
    def _version(self) -> int:
        return self._tls.get_protocol_version()

    @property
    def _is_unique(self) -> bool:
        """No other connection has our secrets: TLS 1.3, or the extended master secret (RFC 7627).

        Without it one in the middle can have both its connections make the same (RFC 9266 4.2).
        """
        if self._version >= SSL.TLS1_3_VERSION:
            return True
        return _extended(self._tls)


def _extended(connection: SSL.Connection) -> bool:
    """The extended master secret was agreed on; no public call tells of it."""
    return bool(_openssl.SSL_get_extms_support(connection._ssl) == 1)


def mail_addresses(certificate: x509.Certificate) -> tuple[str, ...]:
    """Its rfc822Names and SmtpUTF8Mailboxes (RFC 5280 4.2.1.6, RFC 9598); no other name counts."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return ()  # names that cannot be read are nobody's
    found = []
    for name in names:
        match name:
            case x509.RFC822Name():
                text: str | None = name.value
            case x509.OtherName() if name.type_id == _SMTP_UTF8_MAILBOX:
                text = _utf8_string(name.value)
            case _:
                continue
        if text is not None and _is_address(text):
            found.append(text)
    return tuple(found) if len(found) <= NAMES_MAX else ()


def _utf8_string(der: bytes) -> str | None:
    """X.690 8.1.3, 8.23: tag, length in the one way DER allows it, octets."""
    if len(der) < 2 or der[0] != _UTF8_STRING:
        return None
    length, start = der[1], 2
    if length > 0x80:
        start += length - 0x80
        length = int.from_bytes(der[2:start], "big")
    octets = der[start:]
    if len(octets) != length:
        return None
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return None


def _is_address(text: str) -> bool:
    local, _, domain = text.rpartition("@")
    return bool(local and domain) and len(text) <= ADDRESS_CHARS_MAX and text.isprintable()
