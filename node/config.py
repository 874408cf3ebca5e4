"""cluster.toml to one frozen Config, checked once; each part is handed its own section.

A mistake is reported with file, line, key and, for a word we do not know, the nearest one we do.
The file is the same on every machine; relative paths are relative to the file.
"""

import difflib
import ipaddress
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import msgspec

from node.config_lines import line_of
from node.config_oauth import OauthSection, wrong_client
from node.config_section import Section as _Section
from node.config_web import HttpSection, JmapSection, PushSection
from protocols.lmtp.events import RECIPIENTS_MAX
from protocols.lmtp.policy import PRIVATE

NODES_MAX: Final = 64
CONFIG_BYTES_MAX: Final = 1024 * 1024

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Milliseconds = Annotated[int, msgspec.Meta(ge=1, le=3_600_000)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class ConfigError(Exception):
    """The file cannot be used; the text is one sentence with file, line, key and the mend."""


class ClusterSection(_Section, frozen=True, kw_only=True):
    """[cluster]: what the nodes have in common."""

    name: Name
    data: str = "var"
    hostname: str = ""
    secret_file: str = ""


class NodeSection(_Section, frozen=True, kw_only=True):
    """[[node]]: one machine's place and ports; a door without a port stays shut."""

    name: Name
    host: str
    role: Literal["voter", "replica"] = "voter"
    peer: Port
    listen: str = ""
    http: Port | None = None
    https: Port | None = None
    imap: Port | None = None
    imaps: Port | None = None
    lmtp: Port | None = None
    lmtps: Port | None = None
    managesieve: Port | None = None

    @property
    def address(self) -> str:
        """Where this node's doors listen: `listen`, or the host its peers use."""
        return self.listen or self.host

    def ports(self) -> dict[str, int]:
        """Every port this node would open, by key."""
        keys = ("peer", "http", "https", "imap", "imaps", "lmtp", "lmtps", "managesieve")
        return {key: port for key in keys if (port := getattr(self, key)) is not None}


class TlsSection(_Section, frozen=True, kw_only=True):
    """[tls]: PEM files; with them https, imaps, lmtps and STARTTLS are offered."""

    certificate: str = ""
    key: str = ""
    client_ca: str = ""  # whose certificates open accounts at the mail doors


class ImapSection(_Section, frozen=True, kw_only=True):
    """[imap]: whom URLs may be meant for, besides users, and on how many messages one command works
    (RFC 9738), which clients are told: by itself on as many as there are."""

    url_applications: dict[
        Annotated[str, msgspec.Meta(pattern="^[a-z0-9]+$", max_length=64)],
        tuple[Annotated[str, msgspec.Meta(pattern=r"^[^@\s]+@[^@\s]+$")], ...],
    ] = {}
    """Accounts that fetch URLs for an application (RFC 5593 3.3), by its name: `submit` are those
    of message submission servers (RFC 4467 3), `stream` those of media servers."""

    message_limit: Annotated[int, msgspec.Meta(ge=1_000, le=1 << 32)] | None = None
    """FETCH, STORE, SEARCH, MOVE and UID EXPUNGE stop at the newest so many; COPY, APPEND, SORT and
    THREAD refuse. A client that does not know of it takes part of a mailbox for all of it."""
    save_limit: Annotated[int, msgspec.Meta(ge=1_000, le=1 << 32)] | None = None
    """Of COPY and APPEND alone, where there is no message-limit."""


class LmtpSection(_Section, frozen=True, kw_only=True):
    """[lmtp]: who may hand mail in, and what is told of addresses."""

    trusted_networks: tuple[str, ...] = PRIVATE
    """Networks whose hosts need not authenticate: those that nobody reaches from outside."""
    accounts: tuple[Annotated[str, msgspec.Meta(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = ()
    """Accounts that may hand mail in from elsewhere, with their password and under TLS."""
    verify: bool = False
    """Whether VRFY and EXPN tell who is here, and who is in a list."""
    max_recipients: Annotated[int, msgspec.Meta(ge=100, le=10_000)] = RECIPIENTS_MAX


class LimitsSection(_Section, frozen=True, kw_only=True):
    """[limits]: what one node carries at most, each refused politely at the bound."""

    connections: Count = 4096  # per door
    connections_per_address: Count = 2048  # per door and peer address
    message_bytes: Annotated[int, msgspec.Meta(ge=1024, le=1 << 30)] = 50 * 1024 * 1024
    shutdown_ms: Milliseconds = 5_000  # how long doors may drain at a stop


class AuthSection(_Section, frozen=True, kw_only=True):
    """[auth]: password hashing at a time, and how long a verified credential is remembered."""

    hashing_threads: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    hashing_queue: Count = 64
    cache_ms: Milliseconds = 300_000


class StorageSection(_Section, frozen=True, kw_only=True):
    """[storage]: how often LevelDB and blob segments are made durable (the log always is), how
    fast they are read for damage (at every start, and again after each interval), how room comes
    back, and how much of the disk must stay free."""

    checkpoint_ms: Milliseconds = 2_000
    checkpoint_bytes: Count = 8 * 1024 * 1024
    scrub_interval_ms: Annotated[int, msgspec.Meta(ge=1, le=30 * 86_400_000)] = 86_400_000
    scrub_rows_per_s: Count = 100_000
    scrub_bytes_per_s: Count = 64 * 1024 * 1024
    collect_interval_ms: Annotated[int, msgspec.Meta(ge=1, le=30 * 86_400_000)] = 3_600_000
    """How often the leader looks for blobs that no record holds, and each node at its segments."""
    collect_grace_ms: Annotated[int, msgspec.Meta(ge=0, le=30 * 86_400_000)] = 3_600_000
    """So long a blob that no record holds is kept for who reads or uploads it just now."""
    reclaim_bytes_per_s: Count = 16 * 1024 * 1024
    """How fast what is in use of a segment that is mostly dead is copied to another."""
    free_bytes_min: Count = 128 * 1024 * 1024
    """With less, a node takes no writes: the log's next files and LevelDB's merging need some."""
    reserve_bytes: Annotated[int, msgspec.Meta(ge=4096)] = 64 * 1024 * 1024
    """A file of zeros, given up for checkpoints when the disk is full; besides free-bytes-min."""


class RaftSection(_Section, frozen=True, kw_only=True):
    """[raft]: heartbeat and election timing in milliseconds, and how many shall vote; the same on
    all nodes."""

    heartbeat_ms: Milliseconds = 75
    election_min_ms: Milliseconds = 400
    election_max_ms: Milliseconds = 800
    trailing_bytes: Annotated[int, msgspec.Meta(ge=64 * 1024)] = 64 * 1024 * 1024
    """The newest part of the log that is kept for followers that were away; a start reads it."""
    segment_bytes: Annotated[int, msgspec.Meta(ge=4 << 20, le=256 << 20)] = 16 * 1024 * 1024
    """Size of a file of the log; the log is cut in whole files."""
    voters: Annotated[int, msgspec.Meta(ge=0, le=NODES_MAX)] = 0
    """Learners are made voters until there are so many; 0: as many as the file has voters."""


class GossipSection(_Section, frozen=True, kw_only=True):
    """[gossip]: how often a member is probed."""

    probe_interval_ms: Milliseconds = 250


class LogSection(_Section, frozen=True, kw_only=True):
    """[log]: how much is told, and as lines for people or as JSON."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["lines", "json"] = "lines"


class BootstrapAccount(_Section, frozen=True, kw_only=True):
    """[[bootstrap.account]]: made, with its domain, when the cluster first forms."""

    address: Annotated[str, msgspec.Meta(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)]
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    administrator: bool = False


class BootstrapSection(_Section, frozen=True, kw_only=True):
    """[bootstrap]: what exists from the first moment."""

    account: tuple[BootstrapAccount, ...] = ()


class Config(_Section, frozen=True, kw_only=True):
    """The whole file."""

    cluster: ClusterSection
    node: tuple[NodeSection, ...]
    tls: TlsSection = TlsSection()
    http: HttpSection = HttpSection()
    jmap: JmapSection = JmapSection()
    imap: ImapSection = ImapSection()
    lmtp: LmtpSection = LmtpSection()
    push: PushSection = PushSection()
    oauth: OauthSection = OauthSection()
    limits: LimitsSection = LimitsSection()
    auth: AuthSection = AuthSection()
    storage: StorageSection = StorageSection()
    raft: RaftSection = RaftSection()
    gossip: GossipSection = GossipSection()
    log: LogSection = LogSection()
    bootstrap: BootstrapSection = BootstrapSection()
    path: Path = Path("cluster.toml")

    def member(self, name: str) -> NodeSection:
        """The node of that name; ConfigError names the ones there are."""
        for node in self.node:
            if node.name == name:
                return node
        known = ", ".join(node.name for node in self.node)
        raise ConfigError(f"{self.path}: no node is named '{name}': use one of {known}.")

    @property
    def voters(self) -> list[str]:
        """The names of the nodes that vote."""
        return [node.name for node in self.node if node.role == "voter"]

    def joined_by(self, node: NodeSection) -> "Config":
        """With a node that the file does not name; raises ConfigError when it clashes with one."""
        other = msgspec.structs.replace(self, node=(*self.node, node))
        _check_nodes(other, "")
        return other

    @property
    def voters_wanted(self) -> int:
        """How many voters the cluster grows to by itself."""
        return self.raft.voters or sum(node.role == "voter" for node in self.node)

    def data_directory(self, name: str) -> Path:
        """Where the node keeps all it has."""
        return self.path.parent / self.cluster.data / name

    @property
    def secret_path(self) -> Path:
        """The file that holds the cluster secret."""
        if self.cluster.secret_file:
            return self.path.parent / self.cluster.secret_file
        return self.path.parent / self.cluster.data / "cluster.key"

    @property
    def on_one_machine(self) -> bool:
        """Every node is on loopback, so a secret may be made here."""
        return all(is_loopback(node.host) for node in self.node)


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def load(path: Path) -> Config:
    """The checked Config in a file; raises ConfigError."""
    try:
        text = path.read_bytes()[: CONFIG_BYTES_MAX + 1]
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}): name the cluster's file with -c."
        ) from error
    if len(text) > CONFIG_BYTES_MAX:
        raise ConfigError(f"{path}: is over {CONFIG_BYTES_MAX} bytes: is it the right file?")
    return parse(text.decode("utf-8", "replace"), path)


def parse(text: str, path: Path) -> Config:
    """The checked Config in the text of a file; raises ConfigError."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}.") from error
    for where, key, known in _unknown(tree, Config, ()):
        raise ConfigError(_unknown_text(path, text, where, key, known))
    tree.pop("path", None)
    try:
        config = msgspec.convert(tree, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(_invalid_text(path, text, str(error))) from error
    config = msgspec.structs.replace(config, path=path)
    _check_nodes(config, text)
    _check_rest(config, text)
    return config


def _unknown(
    value: Any, kind: Any, where: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], str, list[str]]]:
    """Keys the schema does not have, with where they stand and what may stand there."""
    if get_origin(kind) is tuple and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown(item, get_args(kind)[0], (*where, index))
    elif isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, _Section):
        fields = {f.encode_name: f.type for f in msgspec.structs.fields(kind)}
        if kind is Config:
            del fields["path"]
        for key, inner in value.items():
            if key not in fields:
                yield where, key, list(fields)
            else:
                yield from _unknown(inner, fields[key], (*where, key))


def _unknown_text(
    path: Path, text: str, where: tuple[str | int, ...], key: str, known: list[str]
) -> str:
    line = line_of(text, (*where, key))
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    mend = f"did you mean '{near[0]}'?" if near else f"the keys here are {', '.join(known)}."
    full = ".".join(str(part) for part in (*where, key) if isinstance(part, str))
    return f"{path}:{line}: unknown key '{full}': {mend}"


def _invalid_text(path: Path, text: str, message: str) -> str:
    """msgspec says `Expected ..., got ... - at `$.node[0].peer``; people want the line."""
    what, _, place = message.partition(" - at ")
    where = _where(place.strip("`"))
    key = ".".join(str(part) for part in where if isinstance(part, str))
    named = f"key '{key}': " if key else ""
    return f"{path}:{line_of(text, where)}: {named}{what[:1].lower()}{what[1:]}."


def _where(place: str) -> tuple[str | int, ...]:
    parts: list[str | int] = []
    for step in place.removeprefix("$").replace("[", ".[").split("."):
        if step.startswith("["):
            inner = step.strip("[]")
            parts.append(int(inner) if inner.isdecimal() else inner)
        elif step:
            parts.append(step)
    return tuple(parts)


def _check_nodes(config: Config, text: str) -> None:
    if not config.node:
        raise ConfigError(f"{config.path}: no [[node]]: name at least one.")
    if len(config.node) > NODES_MAX:
        raise ConfigError(f"{config.path}: over {NODES_MAX} nodes: leave some out.")
    if not config.voters:
        raise ConfigError(f"{config.path}: every node is a replica: make at least one a voter.")
    names: set[str] = set()
    taken: dict[tuple[str, int], str] = {}
    for index, node in enumerate(config.node):
        if node.name in names:
            line = line_of(text, ("node", index, "name"))
            raise ConfigError(
                f"{config.path}:{line}: key 'node.name': '{node.name}' is there twice: "
                "give each node its own."
            )
        names.add(node.name)
        for key, port in node.ports().items():
            holder = taken.setdefault((node.host, port), f"{node.name}'s {key}")
            if holder != f"{node.name}'s {key}":
                line = line_of(text, ("node", index, key))
                raise ConfigError(
                    f"{config.path}:{line}: key 'node.{key}': port {port} is {holder} already: "
                    "choose another."
                )


def _check_rest(config: Config, text: str) -> None:
    path = config.path
    if not bool(config.tls.certificate) == bool(config.tls.key) >= bool(config.tls.client_ca):
        line = line_of(text, ("tls",))
        raise ConfigError(
            f"{path}:{line}: key 'tls': certificate and key go together, client-ca "
            "needs them: give both files."
        )
    if not config.tls.certificate:
        for index, node in enumerate(config.node):
            for key in ("https", "imaps", "lmtps"):
                if getattr(node, key) is not None:
                    line = line_of(text, ("node", index, key))
                    raise ConfigError(
                        f"{path}:{line}: key 'node.{key}': needs a certificate: "
                        "give [tls] certificate and key."
                    )
    for index, network in enumerate(config.lmtp.trusted_networks):
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            line = line_of(text, ("lmtp", "trusted-networks", index))
            raise ConfigError(
                f"{path}:{line}: key 'lmtp.trusted-networks': {error}: "
                "write networks as 192.0.2.0/24."
            ) from error
    if not config.raft.heartbeat_ms * 2 < config.raft.election_min_ms < config.raft.election_max_ms:
        line = line_of(text, ("raft",))
        raise ConfigError(
            f"{path}:{line}: key 'raft': two heartbeats must fit in election-min-ms, "
            "and that be under election-max-ms."
        )
    if wrong := wrong_client(config.oauth):
        index, key, mend = wrong
        line = line_of(text, ("oauth", "client", index, key))
        raise ConfigError(f"{path}:{line}: key 'oauth.client.{key}': {mend}")
    if config.push.certificates and not (path.parent / config.push.certificates).is_file():
        line = line_of(text, ("push", "certificates"))
        raise ConfigError(
            f"{path}:{line}: key 'push.certificates': {config.push.certificates} is no file: "
            "name a PEM file."
        )
    if not config.on_one_machine and not config.cluster.secret_file:
        line = line_of(text, ("cluster",))
        raise ConfigError(
            f"{path}:{line}: key 'cluster.secret-file': nodes on several machines share a secret: "
            "put 32 random bytes in a 0600 file on each and name it here."
        )
