"""Whether the peer may hand mail in, sans-IO: by its network, or by AUTH (RFC 4954 4).

EXTERNAL is for an MTA with a certificate that TLS has verified (RFC 4422 A)."""

from protocols import sasl
from protocols.errors import LimitExceeded
from protocols.lmtp import replies
from protocols.lmtp.commands import Auth, Refused
from protocols.lmtp.events import EXTERNAL, Offer, Proof
from protocols.lmtp.replies import Reply


class Access:
    """What one connection may. Steps of AUTH give the next challenge, as a Reply, or the claim."""

    def __init__(
        self, offer: Offer, *, secure: bool, loopback: bool, trusted: bool, certified: bool
    ) -> None:
        self._offer = offer
        self._loopback = loopback
        self._trusted = trusted
        self._exchange: sasl.Exchange | None = None
        self.secure = secure
        """TLS is on."""
        self.certified = certified
        """The peer has shown a certificate of some mail address."""
        self.proven = False
        """By AUTH."""

    @property
    def granted(self) -> bool:
        """Mail may be handed in."""
        return self._trusted or self.proven

    @property
    def secrets(self) -> bool:
        """A password may come."""
        return self.secure or self._loopback

    def tls_started(self, *, certified: bool) -> None:
        """RFC 3207 4.2: what was said in clear text does not count."""
        self.secure = True
        self.certified = certified
        self.proven = False

    def offered(self) -> tuple[str, ...]:
        """The answer to LHLO."""
        return self._offer.lines(secure=self.secure, secrets=self.secrets, certified=self.certified)

    def begin(self, command: Auth) -> Reply | Proof:
        """AUTH, with an initial response or without; raises Refused."""
        if not self._offer.auth:
            raise Refused(replies.NOT_OFFERED)
        if not self.secrets:
            raise Refused(replies.NEEDS_TLS)
        if self.proven:
            raise Refused(replies.OUT_OF_ORDER)  # RFC 4954 4: once
        if command.mechanism == EXTERNAL and self.certified:
            self._exchange = sasl.External()
        else:
            self._exchange = sasl.exchange(command.mechanism)
        if self._exchange is None:
            raise Refused(replies.UNKNOWN_MECHANISM)
        try:
            first = command.initial
            return self._step(None if first is None else sasl.decode_initial_response(first))
        except sasl.SaslError:
            raise Refused(replies.AUTH_MALFORMED) from None
        except LimitExceeded:
            raise Refused(replies.AUTH_LONG) from None

    def go_on(self, line: bytes) -> Reply | Proof:
        """A line that answers a challenge; raises Refused, and the exchange is over."""
        try:
            return self._step(sasl.decode_response(line))
        except sasl.SaslCancelled:
            raise Refused(replies.AUTH_CANCELLED) from None
        except sasl.SaslError:
            raise Refused(replies.AUTH_MALFORMED) from None
        except LimitExceeded:
            raise Refused(replies.AUTH_LONG) from None

    def _step(self, response: bytes | None) -> Reply | Proof:
        assert self._exchange is not None
        step = self._exchange.step(response)
        if isinstance(step, Proof):
            return step
        return replies.challenge(sasl.encode_challenge(step))
