"""Both ends of TLS for tests of the mail doors: our certificates, a client that trusts them."""

import ssl
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trio
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL
from OpenSSL.crypto import X509

from node.tls import mail_context
from protocols.tls_stream import TlsContext, TlsStream

NAME = "mail.example.org"


class Authority:
    """Who our certificates, and the clients', are from."""

    def __init__(self) -> None:
        self.ca = trustme.CA()
        self.issued = self.ca.issue_cert(NAME)

    def server(self, *, client_ca: trustme.CA | None = None) -> TlsContext:
        """The context of a mail door; with `client_ca` it asks for certificates."""
        with tempfile.TemporaryDirectory() as directory:
            certificate, key, authorities = (
                Path(directory, name) for name in ("cert.pem", "key.pem", "ca.pem")
            )
            certificate.write_bytes(b"".join(pem.bytes() for pem in self.issued.cert_chain_pems))
            self.issued.private_key_pem.write_to_path(key)
            if client_ca is None:
                return mail_context(certificate, key)
            client_ca.cert_pem.write_to_path(authorities)
            return mail_context(certificate, key, client_ca=authorities)

    def client(self, *, shows: trustme.LeafCert | None = None) -> ssl.SSLContext:
        """A client's context, with a certificate of its own perhaps."""
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        if shows is not None:
            shows.configure_cert(context)
        return context


class BindingClient(TlsStream):
    """A client that knows what its connection is bound to, as the standard library's does not."""

    def __init__(
        self, transport: trio.abc.Stream, authority: Authority, *, version: int = SSL.TLS1_3_VERSION
    ) -> None:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(version)
        store = context.get_cert_store()
        assert store is not None
        store.add_cert(
            X509.from_cryptography(x509.load_pem_x509_certificate(authority.ca.cert_pem.bytes()))
        )
        context.set_verify(SSL.VERIFY_PEER)
        super().__init__(transport, TlsContext(context))
        self._tls.set_connect_state()

    def ask_anew(self) -> None:
        """Renegotiate with the next handshake."""
        assert self._tls.renegotiate()

    def bound_to(self, kind: str) -> bytes:
        """By the RFCs and OpenSSL, not by what is tested."""
        match kind:
            case "tls-exporter":
                return self._tls.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
            case "tls-unique":
                finished = self._tls.get_finished()
                assert finished is not None
                return finished
            case _:
                shown = self._tls.get_peer_certificate(as_cryptography=True)
                assert shown is not None
                return shown.fingerprint(hashes.SHA256())


def issue(
    ca: trustme.CA,
    names: Sequence[x509.GeneralName],
    *,
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
    until: datetime | None = None,
) -> trustme.LeafCert:
    """A certificate of these names exactly, which trustme would choose itself."""
    signer = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bob@example.org")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(until or now + timedelta(days=9))
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return trustme.LeafCert(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        ),
        builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
        [],
    )


def of_version_2(ca: trustme.CA, issued: trustme.LeafCert) -> trustme.LeafCert:
    """The same by its number, which goes with no extension (RFC 5280 4.1.2.1), signed anew."""
    signer = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    whole = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
    third, second = b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01"
    to_sign = whole.tbs_certificate_bytes.replace(third, second, 1)
    signature = b"\0" + signer.sign(to_sign, ec.ECDSA(hashes.SHA256()))
    ecdsa_with_sha256 = bytes.fromhex("300a06082a8648ce3d040302")
    octets = to_sign + ecdsa_with_sha256 + bytes((3, len(signature))) + signature
    return trustme.LeafCert(
        issued.private_key_pem.bytes(),
        ssl.DER_cert_to_PEM_cert(b"\x30\x82" + len(octets).to_bytes(2, "big") + octets).encode(),
        [],
    )
