"""TLS contexts from files, and a sentence for each way the files can be wrong."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from node.tls import TlsError, mail_context, server_context


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(tmp_path: Path, authority: trustme.CA) -> tuple[Path, Path]:
    issued = authority.issue_cert("mail.example.org")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    for blob in issued.cert_chain_pems:
        blob.write_to_path(certificate, append=True)
    issued.private_key_pem.write_to_path(key)
    return certificate, key


async def test_a_client_that_trusts_the_issuer_is_served(
    files: tuple[Path, Path], authority: trustme.CA
) -> None:
    context = server_context(*files, alpn=["h2", "http/1.1"])
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    trusting.set_alpn_protocols(["http/1.1"])
    ours, theirs = trio.testing.memory_stream_pair()
    server = trio.SSLStream(ours, context, server_side=True)
    client = trio.SSLStream(theirs, trusting, server_hostname="mail.example.org")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.do_handshake)
        nursery.start_soon(client.do_handshake)
    assert client.version() == "TLSv1.3"
    assert client.selected_alpn_protocol() == "http/1.1"


def test_old_versions_are_not_spoken(files: tuple[Path, Path]) -> None:
    context = server_context(*files)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    old = {cipher["name"] for cipher in context.get_ciphers() if "CBC" in cipher["description"]}
    assert old == set()


def test_a_missing_file_is_named(files: tuple[Path, Path], tmp_path: Path) -> None:
    missing = tmp_path / "nowhere.pem"
    with pytest.raises(TlsError, match=r"certificate .*nowhere\.pem cannot be read"):
        server_context(missing, files[1])
    with pytest.raises(TlsError, match=r"key .*nowhere\.pem cannot be read"):
        server_context(files[0], missing)


def test_a_key_of_another_certificate_is_told(
    files: tuple[Path, Path], authority: trustme.CA, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    authority.issue_cert("other.example.org").private_key_pem.write_to_path(other)
    with pytest.raises(TlsError, match="does not belong to"):
        server_context(files[0], other)


def test_what_is_no_pem_is_told(files: tuple[Path, Path], tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.pem"
    garbage.write_bytes(b"\x00garbage\xff" * 100)
    with pytest.raises(TlsError, match="is not PEM"):
        server_context(garbage, files[1])


def test_a_passphrase_is_never_asked_for(files: tuple[Path, Path], tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(files[1].read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(TlsError, match="passphrase"):
        server_context(files[0], locked)


def test_what_the_mail_doors_are_bound_to_is_a_hash_of_the_certificate(
    files: tuple[Path, Path],
) -> None:
    ours = x509.load_pem_x509_certificate(files[0].read_bytes())
    assert mail_context(*files).end_point == ours.fingerprint(hashes.SHA256())


def test_a_signature_without_a_hash_of_its_own_gives_no_end_point(tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.example.org")])
    now = datetime.now(UTC)
    ours = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, None)
    )
    pem = serialization.Encoding.PEM
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    files[0].write_bytes(ours.public_bytes(pem))
    files[1].write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    assert mail_context(*files).end_point is None


def test_a_client_ca_that_is_none_says_so(files: tuple[Path, Path], tmp_path: Path) -> None:
    missing, garbage = tmp_path / "no.pem", tmp_path / "bad.pem"
    garbage.write_text("no certificates")
    with pytest.raises(TlsError, match=r"client-ca .*no\.pem cannot be read .* give the path"):
        mail_context(*files, client_ca=missing)
    with pytest.raises(TlsError, match=r"client-ca .*bad\.pem holds no certificate .* give the"):
        mail_context(*files, client_ca=garbage)
    with pytest.raises(TlsError, match="is not PEM that can be used"):
        mail_context(garbage, files[1])
