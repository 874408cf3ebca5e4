"""The front doors of one node, each over the same ports: which listen where, and under what TLS."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import trio

from node.auth import PasswordAuth
from node.config import Config, NodeSection
from node.directory import AccountDirectory
from node.env import Env
from node.foundation import Foundation
from node.jobs import Jobs
from node.listeners import Door
from node.oauth import oauth_settings
from node.passwords import Passwords
from node.tls import mail_context, server_context
from protocols.http.app import HttpApp, HttpSettings
from protocols.http.serve import FULL, HttpDoor
from protocols.imap import responses
from protocols.imap.session import ImapDoor
from protocols.jmap.capabilities import Limits
from protocols.lmtp import replies
from protocols.lmtp.events import Offer
from protocols.lmtp.policy import Policy
from protocols.lmtp.session import LmtpDoor
from protocols.oauth.metadata import SERVER_PATH
from protocols.ports import Blobs, News, Ports, Reader, Writer
from protocols.serve import OpeningHours
from protocols.submitting import LocalSubmitter
from protocols.tls_stream import TlsContext

# A hostname for greetings when the file gives none: the node's own name is at least true.
_ANONYMOUS: Final = "localhost"
# What is said to whom there is no room for: RFC 9051 7.1.5 and RFC 5530 3, RFC 5321 3.8.
FULL_IMAP: Final = responses.bye("Too many connections; try again later", b"UNAVAILABLE")
FULL_LMTP: Final = replies.TOO_MANY_CONNECTIONS.render()
# What https URLs lead to when they name no port.
HTTPS_PORT: Final = 443


@dataclass(slots=True)
class Doors:
    """All doors, ready to be listened for."""

    app: HttpApp
    ports: Ports
    """What each of them is lent."""
    jobs: Jobs
    """What the leader does over the same ports."""
    doors: list[Door] = field(default_factory=list)
    http: list[HttpDoor] = field(default_factory=list)
    hours: list[OpeningHours] = field(default_factory=list)
    """Of the doors that speak line by line."""
    closed: trio.Event = field(default_factory=trio.Event)
    """Set when every door has been drained."""

    async def close(self, grace_s: float) -> None:
        """Tell who waits with nothing begun that it is over, and drain what serves HTTP."""
        self.app.stop()
        for hours in self.hours:
            hours.close()
        async with trio.open_nursery() as nursery:
            for door in self.http:
                nursery.start_soon(door.shutdown, grace_s)


def build_ports(
    foundation: Foundation,
    env: Env,
    *,
    reader: Reader,
    writer: Writer,
    blobs: Blobs,
    news: News,
    passwords: Passwords,
) -> Ports:
    """What every door of this node is lent."""
    return Ports(
        reader=reader,
        writer=writer,
        blobs=blobs,
        auth=PasswordAuth(
            reader,
            passwords,
            env.clock,
            random_bytes=env.draw,
            remembered_s=foundation.config.auth.cache_ms / 1000,
        ),
        directory=AccountDirectory(),
        news=news,
        clock=env.clock,
        chance=env.chance,
        hostname=foundation.config.cluster.hostname or _ANONYMOUS,
        node=foundation.own.name,
        submitter=LocalSubmitter(),
        spool=env.state_home.spool,
    )


def build_doors(
    foundation: Foundation,
    env: Env,
    *,
    reader: Reader,
    writer: Writer,
    blobs: Blobs,
    news: News,
    passwords: Passwords,
    ready: Callable[[], bool],
) -> Doors:
    """Every door this node has a port for."""
    config, own = foundation.config, foundation.own
    ports = build_ports(
        foundation,
        env,
        reader=reader,
        writer=writer,
        blobs=blobs,
        news=news,
        passwords=passwords,
    )
    tls = _mail_context(foundation) if config.tls.certificate else None
    limits = jmap_limits(config)
    app = HttpApp(
        ports,
        HttpSettings(
            limits=limits,
            public_url=config.http.public_url or None,
            named_url=named_url(config.cluster.hostname, own) if tls else None,
            allow_origins=config.http.allow_origins,
            oauth=oauth_settings(config.oauth, env.clock),
        ),
        ready=ready,
    )
    doors = Doors(app, ports, Jobs(ports))
    for port, secured in ((own.http, False), (own.https, True)):
        if port is not None:
            # The HTTP door shakes hands itself: the protocol is chosen there (ALPN).
            http = HttpDoor(
                app,
                clock=env.clock,
                tls=_https_context(foundation) if secured else None,
                connections_max=config.limits.connections,
                message_octets_max=limits.request_bytes_max,
            )
            doors.http.append(http)
            name, full = ("https", b"") if secured else ("http", FULL)
            doors.doors.append(Door(name, port, partial(_serve_http, http), full=full))
    base = config.http.public_url or (named_url(config.cluster.hostname, own) if tls else None)
    imap = imap_door(config, ports, tls, base=base)
    for name, port, context in (("imap", own.imap, None), ("imaps", own.imaps, tls)):
        if port is not None:
            doors.doors.append(Door(name, port, imap.converse, context, FULL_IMAP))
    lmtp = lmtp_door(config, ports, tls, base=base)
    doors.hours += [imap.hours, lmtp.hours]
    for name, port, context in (("lmtp", own.lmtp, None), ("lmtps", own.lmtps, tls)):
        if port is not None:
            doors.doors.append(Door(name, port, lmtp.converse, context, FULL_LMTP))
    return doors


def imap_door(
    config: Config, ports: Ports, tls: TlsContext | None, *, base: str | None = None
) -> ImapDoor:
    """The IMAP door as the file wants it."""
    return ImapDoor(
        ports,
        tls=tls,
        jmap_url=f"{base}/.well-known/jmap" if base else None,
        metadata_url=base + SERVER_PATH if base else None,
        url_applications=config.imap.url_applications,
        append_bytes_max=config.limits.message_bytes,
        message_limit=config.imap.message_limit or 0,
        save_limit=config.imap.save_limit or 0,
    )


def lmtp_door(
    config: Config, ports: Ports, tls: TlsContext | None, *, base: str | None = None
) -> LmtpDoor:
    """The LMTP door, likewise."""
    policy = Policy(
        trusted=config.lmtp.trusted_networks,
        accounts=[address.lower() for address in config.lmtp.accounts],
    )
    offer = Offer(
        hostname=ports.hostname,
        starttls=tls is not None,
        auth=policy.some_authenticate,
        verify=config.lmtp.verify,
        message_bytes_max=config.limits.message_bytes,
        recipients_max=config.lmtp.max_recipients,
        metadata_url=base + SERVER_PATH if base else None,
    )
    return LmtpDoor(ports, offer, tls=tls, policy=policy)


def named_url(hostname: str, own: NodeSection) -> str | None:
    """Where the service's name leads to: to our own port for https, the usual one untold."""
    port = f":{own.https}" if own.https not in (None, HTTPS_PORT) else ""
    return f"https://{hostname}{port}" if hostname else None


def jmap_limits(config: Config) -> Limits:
    """What the session tells and the doors keep."""
    jmap, message_bytes = config.jmap, config.limits.message_bytes
    return Limits(
        upload_bytes_max=message_bytes,
        submission_bytes_max=message_bytes,
        uploads_max=jmap.max_concurrent_upload,
        request_bytes_max=jmap.max_size_request,
        requests_max=jmap.max_concurrent_requests,
        calls_max=jmap.max_calls_in_request,
        get_objects_max=jmap.max_objects_in_get,
        set_objects_max=jmap.max_objects_in_set,
    )


def _https_context(foundation: Foundation) -> ssl.SSLContext:
    directory, tls = foundation.config.path.parent, foundation.config.tls
    return server_context(directory / tls.certificate, directory / tls.key)


def _mail_context(foundation: Foundation) -> TlsContext:
    directory, tls = foundation.config.path.parent, foundation.config.tls
    return mail_context(
        directory / tls.certificate,
        directory / tls.key,
        client_ca=directory / tls.client_ca if tls.client_ca else None,
    )


async def _serve_http(http: HttpDoor, stream: trio.abc.Stream, peer_ip: str, secure: bool) -> None:
    await http.serve_stream(stream, client=(peer_ip, 0))
