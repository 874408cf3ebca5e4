"""TLS contexts from files, and a sentence for each way the files can be wrong."""

import ssl
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme

from node.tls import TlsError, server_context


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
