"""With given certificate files every door speaks TLS: on ports of its own, and by STARTTLS."""

import base64
import imaplib
import json
import smtplib
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.bench.clients import Lines
from tests.e2e import chaos
from tests.e2e.cluster import RealCluster, free_ports

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("e2e")]

USER, PASSWORD = "alice@example.org", "alice-demo"
SECURE = ("https", "imaps", "lmtps")


class Secured:
    """A one-node cluster with certificates, and a client's trust in them."""

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert("localhost", "127.0.0.1")
        issued.private_key_pem.write_to_path(directory / "key.pem")
        (directory / "chain.pem").write_bytes(
            b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        )
        self.trust, self.alices = ssl.create_default_context(), ssl.create_default_context()
        authority.configure_trust(self.trust)
        authority.configure_trust(self.alices)
        people = trustme.CA()
        people.cert_pem.write_to_path(directory / "people.pem")
        self.alice = people.issue_cert(USER)
        tls = '[tls]\ncertificate = "chain.pem"\nkey = "key.pem"\nclient-ca = "people.pem"\n'
        self.alice.configure_cert(self.alices)
        self.cluster = RealCluster.make(directory, 1, tls)
        self.ports = dict(zip(SECURE, free_ports(len(SECURE)), strict=True))
        file = directory / "cluster.toml"
        lines = "".join(f"{key} = {port}\n" for key, port in self.ports.items())
        file.write_text(file.read_text().replace('name = "n1"\n', f'name = "n1"\n{lines}'))

    @property
    def plain(self) -> dict[str, int]:
        return self.cluster.nodes[0].ports


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    secured = Secured(tmp_path_factory.mktemp("tls"))
    try:
        secured.cluster.start()
        secured.cluster.wait_ready()
        yield secured
    finally:
        secured.cluster.stop()


def test_mail_goes_in_by_starttls_and_by_lmtps(secured: Secured) -> None:
    with smtplib.LMTP("localhost", secured.plain["lmtp"]) as lmtp:
        lmtp.starttls(context=secured.trust)
        assert lmtp.sendmail("a@example.net", [USER], chaos.numbered(1)) == {}
    lines = Lines(("127.0.0.1", secured.ports["lmtps"]))
    lines.socket = secured.trust.wrap_socket(lines.socket, server_hostname="localhost")
    assert lines.line().startswith(b"220 ")
    lines.socket.sendall(b"LHLO x\r\n")
    offered = b""
    while not (line := lines.line()).startswith(b"250 "):
        offered += line
    assert b"STARTTLS" not in offered + line
    lines.close()


def test_mail_comes_out_by_imaps_and_by_starttls(secured: Secured) -> None:
    direct = imaplib.IMAP4_SSL("localhost", secured.ports["imaps"], ssl_context=secured.trust)
    direct.login(USER, PASSWORD)
    assert direct.select("INBOX")[0] == "OK"
    direct.logout()
    upgraded = imaplib.IMAP4("localhost", secured.plain["imap"])
    assert "STARTTLS" in upgraded.capabilities
    upgraded.starttls(secured.trust)
    assert "STARTTLS" not in upgraded.capabilities
    upgraded.login(USER, PASSWORD)
    upgraded.logout()


def test_a_certificate_opens_its_account(secured: Secured) -> None:
    imap = imaplib.IMAP4("localhost", secured.plain["imap"])
    imap.starttls(secured.alices)
    imap.authenticate("EXTERNAL", lambda challenge: b"")
    assert imap.select("INBOX")[0] == "OK"
    imap.logout()
    stranger = imaplib.IMAP4_SSL("localhost", secured.ports["imaps"], ssl_context=secured.trust)
    assert "AUTH=EXTERNAL" not in stranger.capabilities
    assert "AUTH=SCRAM-SHA-256-PLUS" in stranger.capabilities
    stranger.logout()


def test_jmap_answers_by_https(secured: Secured) -> None:
    port = secured.ports["https"]
    secret = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    request = urllib.request.Request(
        f"https://localhost:{port}/.well-known/jmap", headers={"Authorization": f"Basic {secret}"}
    )
    with urllib.request.urlopen(request, context=secured.trust) as answer:
        session = json.load(answer)
    assert session["apiUrl"] == f"https://localhost:{port}/jmap/api"


def test_a_missing_certificate_is_one_sentence(tmp_path: Path) -> None:
    broken = Secured(tmp_path)
    (tmp_path / "chain.pem").unlink()
    ended = broken.cluster.trireme("node", "n1")
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1 and "chain.pem" in ended.stderr
