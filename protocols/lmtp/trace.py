"""The trace fields put before a message at final delivery (RFC 5321 4.4).

Return-Path from MAIL FROM, and one Received. Every word that came from the peer has been through
the grammar of commands.py, so none can hold a line break.
"""

from datetime import UTC, datetime
from typing import Final

from protocols.lmtp.commands import Address

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


def render_trace(
    *,
    sender: Address | None,
    client: str,
    peer_ip: str,
    hostname: str,
    secure: bool,
    smtputf8: bool,
    delivery_id: str,
    only_recipient: Address | None,
    now_ms: int,
) -> bytes:
    """Return-Path and Received, ready to stand before the message.

    `only_recipient` is named only when there is just one: others must not learn of each other
    (RFC 5321 7.2).
    """
    path = "" if sender is None else sender.render()
    with_ = ("UTF8LMTP" if smtputf8 else "LMTP") + ("S" if secure else "")  # RFC 6531 4.3, RFC 3848
    source = f"{client} ([{_literal(peer_ip)}])"  # RFC 5321 4.4 Extended-Domain, TCP-info
    for_ = "" if only_recipient is None else f"\r\n\tfor <{only_recipient.render()}>"
    return (
        f"Return-Path: <{path}>\r\n"
        f"Received: from {source}\r\n"
        f"\tby {hostname} with {with_} id {delivery_id}{for_};\r\n"
        f"\t{render_date(now_ms)}\r\n"
    ).encode()


def render_date(now_ms: int) -> str:
    """RFC 5322 3.3 date-time, in UTC."""
    at = datetime.fromtimestamp(now_ms / 1000, UTC)
    return (
        f"{_DAYS[at.weekday()]}, {at.day} {_MONTHS[at.month - 1]} {at.year:04d}"
        f" {at.hour:02d}:{at.minute:02d}:{at.second:02d} +0000"
    )


def _literal(peer_ip: str) -> str:
    """RFC 5321 4.1.3: an IPv6 address goes by its tag, without the zone."""
    return f"IPv6:{peer_ip.partition('%')[0]}" if ":" in peer_ip else peer_ip
