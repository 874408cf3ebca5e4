"""A cluster file is read once, and every mistake in it is told with its place and its mend."""

from pathlib import Path

import pytest

from node import config
from node.config_lines import line_of
from node.doors import jmap_limits
from protocols.jmap.capabilities import CORE, Limits, session
from protocols.ports import Principal
from storage.ids import AccountId

DEMO = Path(__file__).resolve().parents[2] / "cluster.toml"
TEXT = DEMO.read_text()

ONE_NODE = """
[cluster]
name = "one"
[[node]]
name = "n1"
host = "127.0.0.1"
peer = 17911
"""


def refusal(text: str) -> str:
    """The sentence a file is refused with."""
    with pytest.raises(config.ConfigError) as raised:
        config.parse(text, Path("cluster.toml"))
    return str(raised.value)


def changed(old: str, new: str) -> str:
    """The refusal of the demo file with one change."""
    assert old in TEXT
    return refusal(TEXT.replace(old, new, 1))


def test_the_demo_file_is_a_working_cluster_of_three_voters() -> None:
    demo = config.load(DEMO)
    assert [node.name for node in demo.node] == ["n1", "n2", "n3"]
    assert demo.member("n2").imap == 11432
    assert demo.on_one_machine
    assert [account.address for account in demo.bootstrap.account] == [
        "alice@example.org",
        "bob@example.org",
    ]
    assert demo.data_directory("n1") == DEMO.parent / "var" / "n1"
    assert demo.secret_path == DEMO.parent / "var" / "cluster.key"


def test_an_account_of_the_file_may_be_an_administrators() -> None:
    made = '[[bootstrap.account]]\naddress = "root@example.org"\npassword = "x"\n'
    for line, administrator in (("", False), ("administrator = true\n", True)):
        (account,) = config.parse(ONE_NODE + made + line, Path("x.toml")).bootstrap.account
        assert account.administrator is administrator
    with pytest.raises(config.ConfigError, match=r"bootstrap\.account\.administrator"):
        config.parse(ONE_NODE + made + 'administrator = "yes"\n', Path("x.toml"))


def test_defaults_fit_a_node_that_says_nothing() -> None:
    one = config.parse(ONE_NODE, Path("x/cluster.toml"))
    assert one.limits.message_bytes == 50 * 1024 * 1024
    assert one.node[0].address == "127.0.0.1"
    assert one.node[0].ports() == {"peer": 17911}


def test_what_jmap_allows_is_told_under_the_names_of_the_session() -> None:
    plain = config.parse(ONE_NODE, Path("cluster.toml"))
    assert jmap_limits(plain) == Limits(
        upload_bytes_max=plain.limits.message_bytes, submission_bytes_max=plain.limits.message_bytes
    )
    wanted = {
        "maxConcurrentUpload": ("max-concurrent-upload", 2),
        "maxSizeRequest": ("max-size-request", 2_000_000),
        "maxConcurrentRequests": ("max-concurrent-requests", 3),
        "maxCallsInRequest": ("max-calls-in-request", 4),
        "maxObjectsInGet": ("max-objects-in-get", 5),
        "maxObjectsInSet": ("max-objects-in-set", 6),
        "maxSizeUpload": ("message-bytes", 4096),
    }
    keys = {name: f"{key} = {value}" for name, (key, value) in wanted.items()}
    sections = f"[limits]\n{keys.pop('maxSizeUpload')}\n[jmap]\n" + "\n".join(keys.values())
    asked = jmap_limits(config.parse(ONE_NODE + sections, Path("cluster.toml")))
    told = session(Principal(AccountId(1), "ann@example.org"), asked, "http://x", None)
    core = told["capabilities"][CORE]
    assert {name: core[name] for name in wanted} == {name: n for name, (_, n) in wanted.items()}
    said = refusal(ONE_NODE + "[jmap]\nmax-objects-in-get = 0")
    assert "key 'jmap.max-objects-in-get'" in said


def test_messages_of_one_imap_command_are_limited_only_as_clients_can_bear() -> None:
    assert config.parse(ONE_NODE, Path("cluster.toml")).imap.message_limit is None
    given = config.parse(ONE_NODE + "[imap]\nmessage-limit = 1000", Path("cluster.toml"))
    assert given.imap.message_limit == 1000
    said = refusal(ONE_NODE + "[imap]\nmessage-limit = 999")
    assert "key 'imap.message-limit': expected `int` >= 1000" in said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("peer = 17912", "peeer = 17912", "unknown key 'node.peeer': did you mean 'peer'?"),
        ("[cluster]", "[clustr]", "cluster.toml:2: unknown key 'clustr': did you mean 'cluster'?"),
        ("hostname =", "hostnam =", "unknown key 'cluster.hostnam': did you mean 'hostname'?"),
        ("peer = 17912", 'peer = "x"', "key 'node.peer': expected `int`, got `str`."),
        ("http = 18083", "http = 0", "key 'node.http': expected `int` >= 1."),
        ('role = "voter"', 'role = "king"', "key 'node.role': invalid enum value 'king'."),
        ('name = "demo"', "", "missing required field `name`"),
        ("http = 18082", "http = 18081", "port 18081 is n1's http already: choose another."),
        ('name = "n2"', 'name = "n1"', "'n1' is there twice: give each node its own."),
        ("imap = 11432", "imap = 11432\nimaps = 993", "needs a certificate"),
        ('host = "127.0.0.1"', 'host = "192.0.2.1"', "put 32 random bytes in a 0600 file"),
        ("[cluster]", "[cluster", "is not TOML"),
        ("[cluster]", '[tls]\nkey = "k.pem"\n[cluster]', "certificate and key go together"),
        ("[cluster]", '[tls]\nclient-ca = "c.pem"\n[cluster]', "client-ca needs them"),
        ("[cluster]", "[raft]\nheartbeat-ms = 300\n[cluster]", "two heartbeats must fit"),
        ('"alice@example.org"', '"alice"', "bootstrap.account.address"),
    ],
)
def test_a_mistake_is_told_with_its_mend(old: str, new: str, said: str) -> None:
    assert said in changed(old, new)


def test_the_line_of_a_mistake_is_told() -> None:
    line = TEXT.splitlines().index("peer = 17912") + 1
    assert changed("peer = 17912", "peer = -1").startswith(f"cluster.toml:{line}: ")


def test_a_file_without_nodes_or_voters_is_refused() -> None:
    assert "name at least one" in refusal('node = []\n[cluster]\nname = "x"\n')
    assert "make at least one a voter" in refusal(
        ONE_NODE.replace('name = "n1"', 'name = "n1"\nrole = "replica"')
    )


def test_too_many_nodes_are_refused() -> None:
    node = '[[node]]\nname = "n{0}"\nhost = "127.0.0.1"\npeer = {0}\n'
    many = "".join(node.format(number + 1) for number in range(config.NODES_MAX + 1))
    assert f"over {config.NODES_MAX} nodes" in refusal('[cluster]\nname = "x"\n' + many)


def test_a_huge_or_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match="cannot be read"):
        config.load(tmp_path / "none.toml")
    huge = tmp_path / "huge.toml"
    huge.write_bytes(b"#" * (config.CONFIG_BYTES_MAX + 1))
    with pytest.raises(config.ConfigError, match="is it the right file"):
        config.load(huge)


def test_a_name_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(config.ConfigError, match="use one of n1, n2, n3"):
        config.load(DEMO).member("n4")


def test_places_are_found_by_table_and_key() -> None:
    text = "[a]\nx = 1\n[[b]]\nx = 2\n[[b]]\ny = 3\nx = 4 # here\n"
    assert line_of(text, ("a", "x")) == 2
    assert line_of(text, ("b", 1, "x")) == 7
    assert line_of(text, ("b", 1, "z")) == 5
    assert line_of(text, ("nowhere",)) == 1


def test_the_cluster_grows_to_the_voters_of_the_file_or_to_the_number_given() -> None:
    assert config.parse(TEXT, Path("cluster.toml")).voters_wanted == 3
    more = config.parse(TEXT + "\n[raft]\nvoters = 5\n", Path("cluster.toml"))
    assert more.voters_wanted == 5


def test_a_joiner_may_not_clash_with_a_node_of_the_file() -> None:
    demo = config.parse(TEXT, Path("cluster.toml"))
    joiner = config.NodeSection(name="n4", host="127.0.0.1", peer=17911)
    with pytest.raises(config.ConfigError, match="17911 is n1's peer"):
        demo.joined_by(joiner)


def test_origins_of_pages_are_origins() -> None:
    good = config.parse(TEXT + '\n[http]\nallow-origins = ["https://x.example:8443"]\n', DEMO)
    assert good.http.allow_origins == ("https://x.example:8443",)
    for wrong in ("https://x.example/", "x.example", "https://*.example", "null"):
        assert "http.allow-origins" in refusal(TEXT + f'\n[http]\nallow-origins = ["{wrong}"]\n')


def test_what_push_is_told_is_checked(tmp_path: Path) -> None:
    assert "push.certificates" in refusal(TEXT + '\n[push]\ncertificates = "nowhere.pem"\n')
    assert "push.contact" in refusal(TEXT + '\n[push]\ncontact = "postmaster"\n')
    (tmp_path / "ca.pem").write_text("x")
    text = TEXT + '\n[push]\ncertificates = "ca.pem"\ncontact = "mailto:a@b.example"\n'
    assert config.parse(text, tmp_path / "cluster.toml").push.certificates == "ca.pem"


def test_a_public_url_is_scheme_and_host() -> None:
    good = config.parse(TEXT + '\n[http]\npublic-url = "https://mail.example.org:8443"\n', DEMO)
    assert good.http.public_url == "https://mail.example.org:8443"
    for wrong in ("mail.example.org", "ftp://x", "https://x/", "https://x y"):
        assert "http.public-url" in refusal(TEXT + f'\n[http]\npublic-url = "{wrong}"\n')


def test_who_may_hand_mail_in_is_checked() -> None:
    assert "10.0.0.0/8" in config.parse(TEXT, DEMO).lmtp.trusted_networks
    good = config.parse(TEXT + '\n[lmtp]\ntrusted-networks = ["192.0.2.0/24", "::1"]\n', DEMO)
    assert good.lmtp.trusted_networks == ("192.0.2.0/24", "::1")
    for wrong in ("192.0.2.1/24", "mx.example.net", ""):
        assert "write networks as" in refusal(TEXT + f'\n[lmtp]\ntrusted-networks = ["{wrong}"]\n')
    assert "lmtp.accounts" in refusal(TEXT + '\n[lmtp]\naccounts = ["mta"]\n')
    assert "lmtp.max-recipients" in refusal(TEXT + "\n[lmtp]\nmax-recipients = 99\n")


def test_accounts_that_fetch_urls_for_an_application() -> None:
    assert config.parse(TEXT, DEMO).imap.url_applications == {}
    table = "\n[imap.url-applications]\n"
    good = config.parse(TEXT + table + 'submit = ["mta@example.org"]\nstream = []\n', DEMO)
    assert good.imap.url_applications == {"submit": ("mta@example.org",), "stream": ()}
    assert "imap.url-applications" in refusal(TEXT + table + 'submit = ["mta"]\n')
    assert "imap.url-applications" in refusal(TEXT + table + 'Sub_mit = ["mta@example.org"]\n')
    assert "did you mean 'url-applications'" in refusal(TEXT + "\n[imap.url-application]\na = []\n")


def test_programs_and_lifetimes_of_oauth() -> None:
    plain = config.parse(TEXT, DEMO).oauth
    assert (plain.access_token_s, plain.refresh_token_s, plain.attempts) == (3600, 2_592_000, 3)
    assert (plain.code_s, plain.user_code_s, plain.registration) == (600, 1800, True)
    client = '\n[[oauth.client]]\nid = "web"\nname = "Web"\nredirect-uris = ["{}"]\n'
    for good in ("https://w.example/in", "http://localhost/", "http://127.0.0.1/x", "a.b:/x"):
        assert config.parse(TEXT + client.format(good), DEMO).oauth.client[0].redirect_uris
    for wrong in ("http://w.example/", "https://w.example", "http://localhost:1/", "a.b:/#", "x:/"):
        said = refusal(TEXT + client.format(wrong))
        assert "oauth.client.redirect-uris" in said and "is no redirect URI" in said
    assert "there twice" in refusal(TEXT + 2 * client.format("a.b:/x"))
    assert "oauth.client.id" in refusal(TEXT + client.format("a.b:/x").replace('"web"', '"a b"'))
    for line in ("access-token-s = 59", "attempts = 0", "code-s = 3601", 'registration = "no"'):
        assert f"oauth.{line.partition(' ')[0]}" in refusal(TEXT + f"\n[oauth]\n{line}\n")
