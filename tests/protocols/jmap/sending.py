"""A desk to send from: drafts, identities, and what others got."""

from typing import Any, Final

from protocols.jmap.capabilities import CAPABILITIES, Limits
from tests.protocols.jmap.desk import ALICE, BOB, Desk

ELSEWHERE: Final = "someone@elsewhere.example"


class SendingDesk(Desk):
    """Alice, who writes to Bob."""

    def __init__(self, *, limits: Limits | None = None) -> None:
        super().__init__(limits=limits)

    async def identity(self, email: str = ALICE) -> str:
        """The id of one of her identities."""
        told = await self.call("Identity/get", ids=None)
        return next(held["id"] for held in told["list"] if held["email"] == email)

    async def draft(self, **more: Any) -> str:
        """The id of a draft to Bob."""
        email = {
            "mailboxIds": {self.mailbox("drafts"): True},
            "keywords": {"$draft": True},
            "from": [{"name": "Alice", "email": ALICE}],
            "to": [{"name": None, "email": BOB}],
            "subject": "Hello",
            "bodyValues": {"1": {"value": "Hi Bob."}},
            "textBody": [{"partId": "1", "type": "text/plain"}],
            **more,
        }
        told = await self.call("Email/set", create={"k": email})
        assert told["created"], told["notCreated"]
        made: str = told["created"]["k"]["id"]
        return made

    async def submit(self, email: str, **more: Any) -> dict[str, Any]:
        """What becomes of a submission of this email."""
        wanted = {"identityId": await self.identity(), "emailId": email, **more}
        told = await self.call("EmailSubmission/set", create={"k": wanted})
        became: dict[str, Any] = (told["created"] or told["notCreated"])["k"]
        return became

    async def call_first(self, name: str, **arguments: Any) -> dict[str, Any]:
        """The first response of a call that implies another."""
        told = await self.request([name, {"accountId": self.account, **arguments}])
        assert told[0][0] == name, told
        first: dict[str, Any] = told[0][1]
        return first

    async def bobs(self) -> list[dict[str, Any]]:
        """What is in Bob's account."""
        calls = [
            ["Email/get", {"accountId": self.bob, "ids": None}, "c"],
        ]
        document = {"using": sorted(CAPABILITIES), "methodCalls": calls}
        answer = await self.post(document, auth=(BOB, "other"))
        found: list[dict[str, Any]] = answer.json["methodResponses"][0][1]["list"]
        return found


def envelope(*recipients: str, mail_from: str = ALICE, **parameters: str | None) -> dict[str, Any]:
    """An envelope as a client gives it."""
    return {
        "mailFrom": {"email": mail_from, "parameters": parameters or None},
        "rcptTo": [{"email": each} for each in recipients],
    }
