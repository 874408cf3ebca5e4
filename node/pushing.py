"""The push sender of this node: whom it may write to, and how it is known (`[push]`)."""

import ssl
from pathlib import Path

from node.env import Env
from node.foundation import Foundation
from protocols.ports import Ports
from protocols.push.post import Post
from protocols.push.sender import PushSender


def build_push(foundation: Foundation, env: Env, ports: Ports) -> PushSender:
    """Runs on every node; the leader's sends."""
    config = foundation.config
    more = config.push.certificates
    authorities = config.path.parent / more if more else None
    post = Post(
        env.network,
        lambda: client_context(authorities),
        allow_private=config.push.allow_private_addresses,
    )
    contact = config.push.contact or f"mailto:postmaster@{ports.hostname}"
    return PushSender(ports, post, draw=env.draw, contact=contact)


def client_context(authorities: Path | None) -> ssl.SSLContext:
    """Trusts whom this machine trusts, and those in a PEM file besides."""
    context = ssl.create_default_context()
    if authorities is not None:
        context.load_verify_locations(authorities)
    return context
