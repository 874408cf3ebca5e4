"""Uses imapclient as it is told by lines of JSON (tests/clients/talking.py).

Runs by itself in an environment that has imapclient, and imports nothing of ours.
"""

from __future__ import annotations

import json
import ssl
import sys
from email import message_from_bytes
from typing import Any

import imapclient


class Told:
    """What can be asked for; each method is a word of the runner's."""

    client: imapclient.IMAPClient

    def open(self, host: str, port: int, authority: str, user: str, password: str) -> list[str]:
        trust = ssl.create_default_context(cafile=authority)
        self.client = imapclient.IMAPClient(host, port, ssl_context=trust, timeout=60)
        self.client.login(user, password)
        return [name.decode() for name in self.client.capabilities()]

    def open_by_token(
        self, how: str, host: str, port: int, authority: str, user: str, token: str
    ) -> list[str]:
        trust = ssl.create_default_context(cafile=authority)
        with imapclient.IMAPClient(host, port, ssl_context=trust, timeout=60) as client:
            login = {"OAUTHBEARER": client.oauthbearer_login, "XOAUTH2": client.oauth2_login}[how]
            login(user, token)
            return [name for _, _, name in client.list_folders()]

    def mailboxes(self) -> list[str]:
        return [name for _, _, name in self.client.list_folders()]

    def read(self) -> dict[str, Any]:
        self.client.select_folder("INBOX")
        uid = self.client.search("ALL")[-1]
        found = self.client.fetch([uid], ["ENVELOPE", "BODY.PEEK[]"])[uid]
        text = message_from_bytes(found[b"BODY[]"]).get_payload()
        return {"uid": uid, "subject": found[b"ENVELOPE"].subject.decode(), "text": text}

    def flag(self, uid: int, flags: list[str]) -> None:
        self.client.add_flags([uid], flags)

    def move(self, uid: int, to: str) -> None:
        self.client.move([uid], to)

    def draft(self, message: str) -> None:
        self.client.append("Drafts", message.encode(), ("\\Draft", "\\Seen"))

    def search(self, text: str) -> list[str]:
        self.client.select_folder("INBOX")
        found = self.client.fetch(self.client.search(["TEXT", text]), ["ENVELOPE"])
        return [one[b"ENVELOPE"].subject.decode() for one in found.values()]

    def listen(self) -> None:
        self.client.idle()

    def hear(self) -> list[list[Any]]:
        news = self.client.idle_check(timeout=60)
        return [
            [part.decode() if isinstance(part, bytes) else part for part in one] for one in news
        ]


def main() -> None:
    """Answer line by line."""
    told = Told()
    for line in sys.stdin:
        words = json.loads(line)
        try:
            answer = {"ok": getattr(told, words.pop("do"))(**words)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
