"""Certificate files to TLS contexts, checked when the node starts.

A context is given out only when certificate and key can be read and belong together. Whether the
certificate is in date is not asked: clients say so, and a node that does not start would be worse.
A mistake in the files is one sentence with the mend.
"""

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

# TLS 1.2 with forward secrecy and AEAD only; TLS 1.3 brings its own (RFC 9325 4.2).
_TLS12_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


class TlsError(Exception):
    """The certificate or key cannot be used; the text says which and what to do."""


def server_context(certificate: Path, key: Path, *, alpn: Sequence[str] = ()) -> ssl.SSLContext:
    """A server's context of a PEM chain and its key. Raises TlsError.

    `alpn` are the protocols of the port, best first (h2 and http/1.1 for HTTPS).
    """
    for path, what in ((certificate, "certificate"), (key, "key")):
        _readable(path, what)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_TLS12_CIPHERS)
    # Compression leaks what it compresses (CRIME); renegotiation costs us more than the peer.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except ssl.SSLError as error:
        raise TlsError(_why(error, certificate, key)) from error
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _readable(path: Path, what: str) -> None:
    try:
        with path.open("rb"):
            return
    except OSError as error:
        raise TlsError(
            f"the TLS {what} {path} cannot be read ({error.strerror}): "
            f"give the path of a PEM file that the node may read."
        ) from error


def _no_passphrase() -> str:
    # Without this OpenSSL would ask on the terminal, and a service would hang there.
    raise TlsError("the TLS key has a passphrase: give a key file without one, readable to us only")


def _why(error: ssl.SSLError, certificate: Path, key: Path) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"the TLS key {key} does not belong to the certificate {certificate}: give the pair."
    return (
        f"the TLS certificate {certificate} or key {key} is not PEM that can be used "
        f"({error.reason or 'malformed'}): the certificate file holds the chain, ours first."
    )
