"""Certificate files to TLS contexts, checked when the node starts.

HTTPS and calls between nodes go by the standard library's TLS, the mail doors by pyOpenSSL's, which
tells them what a connection is bound to (protocols/tls_stream.py). Versions and ciphers are alike.

A context is given out only when certificate and key can be read and belong together. Whether the
certificate is in date is not asked: clients say so, and a node that does not start would be worse.
A mistake in the files is one sentence with the mend.
"""

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL

from protocols.tls_stream import TlsContext

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


def mail_context(certificate: Path, key: Path, *, client_ca: Path | None = None) -> TlsContext:
    """The mail doors' context of the same files. Raises TlsError.

    With `client_ca` clients are asked for a certificate from one of its authorities. Who shows
    none may log in by other means. One that OpenSSL does not verify ends the handshake: its alert
    tells the one person who can mend it what is wrong, and no judgement of ours comes in between.
    """
    server_context(certificate, key)  # whatever is wrong with them is told there
    if client_ca is not None:
        _readable(client_ca, "client-ca")
    openssl = SSL.Context(SSL.TLS_SERVER_METHOD)
    openssl.set_min_proto_version(SSL.TLS1_2_VERSION)
    openssl.set_cipher_list(_TLS12_CIPHERS.encode())
    openssl.set_options(
        SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    # A resumed session would bring back a certificate that has been withdrawn since, and the
    # binding of TLS 1.2 would be another; mail connections last, so what it saved is little.
    openssl.set_options(SSL.OP_NO_TICKET)
    openssl.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # Buffers are given back between records: an idle connection then costs some 7 KiB.
    openssl.set_mode(SSL.MODE_RELEASE_BUFFERS)
    try:
        openssl.use_certificate_chain_file(certificate)
        openssl.use_privatekey_file(key)
    except SSL.Error as error:
        raise TlsError(
            f"the TLS certificate {certificate} or key {key} cannot be used for the mail doors "
            f"({_reason(error)}): give an RSA, ECDSA or Ed25519 key and its chain, ours first."
        ) from error
    if client_ca is not None:
        _ask_for_certificates(openssl, client_ca)
    return TlsContext(openssl, _end_point(certificate))


def _ask_for_certificates(openssl: SSL.Context, client_ca: Path) -> None:
    try:
        openssl.load_verify_locations(client_ca)
        openssl.load_client_ca(str(client_ca).encode())
    except SSL.Error as error:
        raise TlsError(
            f"the TLS client-ca {client_ca} holds no certificate that can be used "
            f"({_reason(error)}): give the authorities of your users' certificates as PEM."
        ) from error
    openssl.set_verify(SSL.VERIFY_PEER)


def _end_point(certificate: Path) -> bytes | None:
    """RFC 5929 4.1: by the hash of our certificate's signature, SHA-256 for the weak ones."""
    ours = x509.load_pem_x509_certificate(certificate.read_bytes())
    try:
        algorithm = ours.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    if algorithm is None:  # EdDSA: the RFC defines none
        return None
    weak = isinstance(algorithm, hashes.MD5 | hashes.SHA1)
    return ours.fingerprint(hashes.SHA256() if weak else algorithm)


def _reason(error: SSL.Error) -> str:
    """What OpenSSL says last: a list of (library, function, reason)."""
    told = error.args[0] if error.args else ()
    return str(told[-1][-1]) if told else "malformed"


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
