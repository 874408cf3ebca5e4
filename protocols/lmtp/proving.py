"""Whether the peer may hand mail in, sans-IO: by its network, or by AUTH (RFC 4954 4).

EXTERNAL is for an MTA with a certificate that TLS has verified (RFC 4422 A)."""

from protocols import sasl
from protocols.bearer import TOKEN_MECHANISMS, OauthBearer, Refusal, TokenExchange, XOauth2
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
        self._exchange: sasl.Exchange | sasl.External | TokenExchange | None = None
        self._failed: Reply | None = None  # what ends an exchange that the client has yet to answer
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
        elif command.mechanism in TOKEN_MECHANISMS:
            self._exchange = TOKEN_MECHANISMS[command.mechanism]()
        else:
            self._exchange = sasl.exchange(command.mechanism)
        self._failed = None
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
        if self._failed is not None:
            raise Refused(self._failed)  # RFC 7628 3.2.3: whatever the client says to it
        try:
            return self._step(sasl.decode_response(line))
        except sasl.SaslCancelled:
            raise Refused(replies.AUTH_CANCELLED) from None
        except sasl.SaslError:
            raise Refused(replies.AUTH_MALFORMED) from None
        except LimitExceeded:
            raise Refused(replies.AUTH_LONG) from None

    def refuse(self, refusal: Refusal, reply: Reply) -> Reply:
        """The token of the claim is not good: the challenge that says why; then comes `reply`."""
        exchange, self._failed = self._exchange, reply
        assert isinstance(exchange, OauthBearer | XOauth2), exchange
        told = exchange.refuse(refusal, metadata_url=self._offer.metadata_url)
        return replies.challenge(sasl.encode_challenge(told))

    def _step(self, response: bytes | None) -> Reply | Proof:
        assert self._exchange is not None
        step = self._exchange.step(response)
        if isinstance(step, Proof):
            return step
        return replies.challenge(sasl.encode_challenge(step))
