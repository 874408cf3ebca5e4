"""Uses jmapc as it is told by lines of JSON (tests/clients/talking.py).

Runs by itself in an environment that has jmapc, and imports nothing of ours.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from typing import Any

import jmapc
from jmapc import methods

PROPERTIES = ["id", "subject", "textBody", "bodyValues"]


class Told:
    """What can be asked for; each method is a word of the runner's."""

    client: jmapc.Client
    heard: queue.Queue[jmapc.Event | Exception]

    def open(self, host: str, user: str, password: str) -> str:
        self.client = jmapc.Client.create_with_password(host, user, password)
        return str(self.client.jmap_session.username)

    def open_by_token(self, host: str, token: str) -> str:
        client = jmapc.Client.create_with_api_token(host, token)
        (found,) = [
            one.response
            for one in client.request([methods.MailboxGet(ids=None)], raise_errors=True)
        ]
        assert len(found.data) > 1, found
        return str(client.jmap_session.username)

    def call(self, *calls: Any) -> list[Any]:
        """The answers; jmapc raises ClientError when one of them is an error."""
        return [one.response for one in self.client.request(list(calls), raise_errors=True)]

    def mailbox(self, name: str) -> str:
        condition = jmapc.MailboxQueryFilterCondition(name=name)
        (found,) = self.call(methods.MailboxQuery(filter=condition))
        assert len(found.ids) == 1, found
        return str(found.ids[0])

    def mailboxes(self) -> list[str | None]:
        (found,) = self.call(methods.MailboxGet(ids=None))
        return [mailbox.name for mailbox in found.data]

    def read(self) -> dict[str, Any]:
        query = methods.EmailQuery(
            filter=jmapc.EmailQueryFilterCondition(in_mailbox=self.mailbox("Inbox")),
            sort=[jmapc.Comparator(property="receivedAt", is_ascending=False)],
            limit=1,
        )
        get = methods.EmailGet(
            ids=jmapc.Ref("/ids"), properties=PROPERTIES, fetch_text_body_values=True
        )
        _, got = self.call(query, get)
        (email,) = got.data
        text = email.body_values[email.text_body[0].part_id].value
        return {"id": email.id, "subject": email.subject, "text": text}

    def set(self, **words: Any) -> Any:
        (done,) = self.call(methods.EmailSet(**words))
        assert not (done.not_created or done.not_updated), done
        return done

    def flag(self, id: str) -> None:
        self.set(update={id: {"keywords/$flagged": True}})

    def move(self, id: str, to: str) -> None:
        self.set(update={id: {"mailboxIds": {self.mailbox(to): True}}})

    def draft(self, sender: str, to: str, subject: str, text: str) -> str:
        email = jmapc.Email(
            mailbox_ids={self.mailbox("Drafts"): True},
            keywords={"$draft": True, "$seen": True},
            mail_from=[jmapc.EmailAddress(email=sender)],
            to=[jmapc.EmailAddress(email=to)],
            subject=subject,
            body_values={"text": jmapc.EmailBodyValue(value=text)},
            text_body=[jmapc.EmailBodyPart(part_id="text", type="text/plain")],
        )
        return str(self.set(create={"draft": email}).created["draft"].id)

    def send(self, id: str) -> None:
        (identities,) = self.call(methods.IdentityGet())
        patch = {
            "keywords/$draft": None,
            f"mailboxIds/{self.mailbox('Drafts')}": None,
            f"mailboxIds/{self.mailbox('Sent')}": True,
        }
        submission = jmapc.EmailSubmission(email_id=id, identity_id=identities.data[0].id)
        submit, updated = self.call(
            methods.EmailSubmissionSet(
                create={"out": submission}, on_success_update_email={"#out": patch}
            )
        )
        assert submit.created and "out" in submit.created, submit
        assert updated.updated is not None and id in updated.updated, updated

    def attach(self, mailbox: str, subject: str, file: str, name: str, back: str) -> None:
        blob = self.client.upload_blob(file)
        part = jmapc.EmailBodyPart(
            blob_id=blob.id, type="text/plain", name=name, disposition="attachment"
        )
        email = jmapc.Email(
            mailbox_ids={self.mailbox(mailbox): True},
            subject=subject,
            body_values={"text": jmapc.EmailBodyValue(value="See there.")},
            text_body=[jmapc.EmailBodyPart(part_id="text", type="text/plain")],
            attachments=[part],
        )
        id = self.set(create={"draft": email}).created["draft"].id
        (got,) = self.call(methods.EmailGet(ids=[id], properties=["attachments"]))
        self.client.download_attachment(got.data[0].attachments[0], back)

    def search(self, text: str) -> list[str | None]:
        condition = jmapc.EmailQueryFilterCondition(text=text)
        get = methods.EmailGet(ids=jmapc.Ref("/ids"), properties=["subject"])
        _, got = self.call(methods.EmailQuery(filter=condition), get)
        return [email.subject for email in got.data]

    def listen(self, last: str = "") -> None:
        self.client._events = None
        self.client._last_event_id = last or None
        self.heard = queue.Queue()
        threading.Thread(target=pump, args=(self.client, self.heard), daemon=True).start()
        while self.client._events is None and self.heard.empty():
            time.sleep(0.01)

    def hear(self) -> dict[str, Any]:
        event = self.heard.get()
        if isinstance(event, Exception):
            raise event
        return {"id": event.id, "email": event.data.changed[self.client.account_id].email}


def pump(client: jmapc.Client, heard: queue.Queue[jmapc.Event | Exception]) -> None:
    """In a thread: jmapc connects when the first event is asked for, and then blocks."""
    try:
        for event in client.events:
            heard.put(event)
    except Exception as error:
        heard.put(error)


def main() -> None:
    """Answer line by line. What the library prints goes to the other stream."""
    answers, sys.stdout = sys.stdout, sys.stderr
    told = Told()
    for line in sys.stdin:
        words = json.loads(line)
        try:
            answer = {"ok": getattr(told, words.pop("do"))(**words)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error} {getattr(error, 'result', '')}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
