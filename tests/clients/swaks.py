"""swaks, which hands mail in by LMTP."""

from collections.abc import Sequence

from tests.clients.packages import Packages
from tests.clients.visit import Step, Visit, expect, holds, ran
from tests.clients.witness import SENDER

# How swaks ends when no recipient was taken.
NO_RECIPIENT = 24


class Swaks(Visit):
    """A message in each of the ways a sender may take."""

    name = "swaks"
    program = "swaks"
    install = "apt install swaks"

    @classmethod
    def missing(cls, packages: Packages) -> str:
        if not (reason := super().missing(packages)) and "TLS supported" not in ran(
            ["swaks", "--support"]
        ):
            return "not installed: apt install libnet-ssleay-perl"
        return reason

    def steps(self) -> Sequence[Step]:
        return (self.plain, self.starttls, self.pipelining, self.unknown)

    def send(self, subject: str, to: str, *words: str, good: int = 0) -> str:
        """One message; what was said on the wire."""
        fixed = ["--server", "127.0.0.1", "--port", str(self.place.port("lmtp"))]
        letter = ["--from", SENDER, "--to", to, "--h-Subject", subject, "--body", f"By {subject}."]
        return ran(["swaks", "--protocol", "LMTP", *fixed, *letter, *words], good=[good])

    def arrives(self, subject: str, *words: str) -> str:
        """A message is sent so and found by both ways."""
        said = self.send(subject, self.place.user, *words)
        for found in (self.place.imap(), self.place.jmap()):
            expect(found[subject].text, f"By {subject}.", "what came")
        return said

    def plain(self) -> None:
        """Command by command."""
        self.arrives("plain")

    def starttls(self) -> None:
        """Under TLS with the certificate checked."""
        trust = str(self.place.stage.authority)
        words = ("--tls", "--tls-verify", "--tls-ca-path", trust)
        holds("TLS started" in self.arrives("starttls", *words), "no TLS")

    def pipelining(self) -> None:
        """All commands at once."""
        holds("PIPELINING" in self.arrives("pipelining", "--pipeline"), "it is not offered")

    def unknown(self) -> None:
        """Nobody of that name: refused for good, and no mail of it anywhere."""
        said = self.send("unknown", "nobody@example.org", good=NO_RECIPIENT)
        holds(" 550 5.1.1" in said, f"another refusal: {said}")
        expect("unknown" in self.place.jmap(), False, "it came")
