"""What a user does in his browser: he is asked, signs in, and lets a client in or does not.

There is no session: each yes comes with the password, proved by ports.Auth, whose limits count. A
form that comes here is the browser's own (http/login.py looks at its cookie).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from protocols.oauth.answers import Answer, Page, Redirect
from protocols.oauth.asking import (
    CLIENT_CHARS_MAX,
    HINT_CHARS_MAX,
    ClientTold,
    Request,
    UserTold,
    read_place,
    read_request,
)
from protocols.oauth.forms import FormInvalid, parse_form
from protocols.oauth.metadata import AUTHORIZE_PATH, DEVICE_PATH
from protocols.oauth.pages import (
    NO_CODE,
    NO_LEADER,
    TOO_MANY,
    WRONG_PASSWORD,
    code_page,
    consent_page,
    device_page,
    done_page,
    error_page,
)
from protocols.oauth.settings import KnownClient, OauthSettings
from protocols.ports import AuthBusy, AuthFailed, Ports, Principal, Unavailable
from storage.accounts import by_address
from storage.clients import get_client
from storage.codes import (
    USER_CODE_LENGTH,
    Asked,
    RevokedMeanwhile,
    find_device,
    plan_approve,
    plan_code,
    plan_deny,
    plan_failure,
)
from storage.engine import Rows
from storage.grants import revocations
from storage.ids import SYSTEM_ACCOUNT
from storage.oauth_rows import Device

PASSWORD_CHARS_MAX: Final = 1024
USER_CODE_TYPED_MAX: Final = 32

_UNREADABLE: Final = "The address of this page is not complete: start anew from the program."


@dataclass(frozen=True, slots=True)
class Seat:
    """The browser: what URLs begin with for it, its cookie's secret, and its IP address."""

    base: str
    csrf: str
    remote: str


def find_client(
    rows: Rows, client: str, now_ms: int, settings: OauthSettings
) -> KnownClient | None:
    """A client of the file, or one that registered."""
    if client in settings.clients:
        return settings.clients[client]
    if not 0 < len(client) <= CLIENT_CHARS_MAX:
        return None
    held = get_client(rows, client, now_ms)
    if held is None:
        return None
    return KnownClient(client, held.name, held.redirect_uris, held.scopes, held.uri)


class Consent:
    """The pages of one node."""

    def __init__(self, ports: Ports, settings: OauthSettings) -> None:
        self._ports = ports
        self._settings = settings

    # --- by a browser on the client's machine

    async def ask(self, query: bytes, seat: Seat) -> Answer:
        """GET: the user is asked."""
        found = await self._request(query, seat)
        if not isinstance(found, Request):
            return found
        return self._asking(query, seat, found, 200, found.hint)

    async def decide(self, query: bytes, form: Mapping[str, str], seat: Seat) -> Answer:
        """POST: the user has decided."""
        found = await self._request(query, seat)
        if not isinstance(found, Request):
            return found
        place = found.place
        if form.get("decision") != "allow":
            return Redirect(place.with_error("access_denied", "the user has refused"))
        username = form.get("username", "")[: HINT_CHARS_MAX + 1]
        again = partial(self._asking, query, seat, found)
        proved = await self._prove(form, seat)
        if isinstance(proved, str):
            return again(_STATUS[proved], username, proved)
        principal, revoked = proved
        client = found.client
        try:
            code = await self._ports.writer.write(
                SYSTEM_ACCOUNT,
                lambda plan: plan_code(
                    plan,
                    principal.account,
                    Asked(client.client, client.name, found.scopes),
                    redirect_uri=place.uri,
                    challenge=found.challenge,
                    code_ms=self._settings.code_ms,
                    revoked=revoked,
                ),
            )
        except Unavailable:
            return again(503, username, NO_LEADER)
        except RevokedMeanwhile:
            return again(403, username, WRONG_PASSWORD)
        return Redirect(place.with_code(code))

    async def _request(self, query: bytes, seat: Seat) -> Request | Answer:
        try:
            said = parse_form(query)
        except FormInvalid:
            return Page(400, error_page(_UNREADABLE))
        try:
            view = await self._ports.reader.view()
        except Unavailable:
            return Page(503, error_page(NO_LEADER), retry=True)
        now_ms = self._ports.clock.now_ms()
        client = find_client(view, said.get("client_id", ""), now_ms, self._settings)
        try:
            place = read_place(said, client, seat.base)
        except UserTold as told:
            return Page(400, error_page(str(told)))
        assert client is not None, "it has a place"
        try:
            return read_request(said, client, place)
        except ClientTold as told:
            return Redirect(place.with_error(told.error, told.why))

    def _asking(
        self,
        query: bytes,
        seat: Seat,
        request: Request,
        status: int,
        username: str,
        wrong: str = "",
    ) -> Page:
        html = consent_page(
            f"{AUTHORIZE_PATH}?{query.decode('latin-1')}",
            seat.csrf,
            client=request.client,
            scopes=request.scopes,
            username=username,
            wrong=wrong,
        )
        return Page(status, html, leads_to=request.place.uri, retry=status in (429, 503))

    async def _prove(self, form: Mapping[str, str], seat: Seat) -> tuple[Principal, int] | str:
        """Who signs in, and how often he had revoked all before; or what was wrong."""
        username, password = form.get("username", ""), form.get("password", "")
        if len(username) > HINT_CHARS_MAX or len(password) > PASSWORD_CHARS_MAX or not password:
            return WRONG_PASSWORD
        try:
            # Before the proof: a password that is changed after this shows at the write.
            view = await self._ports.reader.view()
            account = by_address(view, username)
            revoked = 0 if account is None else revocations(view, account)
            principal = await self._ports.auth.password(username, password, remote=seat.remote)
        except AuthFailed:
            return WRONG_PASSWORD
        except AuthBusy:
            return TOO_MANY
        except Unavailable:
            return NO_LEADER
        if principal.account != account:
            return WRONG_PASSWORD  # the address changed hands meanwhile
        return principal, revoked

    # --- by a browser anywhere, for a device

    async def enter(self, user_code: str, seat: Seat) -> Answer:
        """GET: the user is to type a code; one that the device's link brings is filled in."""
        typed = user_code[:USER_CODE_TYPED_MAX]
        return Page(200, code_page(DEVICE_PATH, seat.csrf, user_code=typed))

    async def entered(self, form: Mapping[str, str], seat: Seat) -> Answer:
        """POST: a code, and then with it what the user has decided."""
        typed = form.get("user_code", "")[:USER_CODE_TYPED_MAX]
        entering = partial(code_page, DEVICE_PATH, seat.csrf, user_code=typed)
        # Taken before we look, or a thousand guesses at once would all find it free.
        if not self._settings.guesses.take(seat.remote):
            return Page(429, entering(wrong=TOO_MANY), retry=True)
        letters, guessed = letters_of(typed), False
        try:
            view = await self._ports.reader.view()
            found = find_device(view, letters, self._ports.clock.now_ms())
            guessed = found is None
        except Unavailable:
            return Page(503, entering(wrong=NO_LEADER), retry=True)
        finally:
            if not guessed:
                self._settings.guesses.put_back(seat.remote)
        if found is None:
            return Page(404, entering(wrong=NO_CODE))
        device = found[1]
        try:
            match form.get("decision"):
                case "allow":
                    return await self._allow(letters, device, form, seat)
                case "deny":
                    await self._ports.writer.write(
                        SYSTEM_ACCOUNT, lambda plan: plan_deny(plan, letters)
                    )
                    return Page(200, done_page("The device was refused. You can close this page."))
        except Unavailable:
            return self._device(letters, device, seat, 503, NO_LEADER)
        return self._device(letters, device, seat, 200)

    async def _allow(
        self, letters: str, device: Device, form: Mapping[str, str], seat: Seat
    ) -> Answer:
        proved = await self._prove(form, seat)
        if isinstance(proved, str):
            status = _STATUS[proved]
            if proved is WRONG_PASSWORD:
                most = self._settings.attempts_max
                left = await self._ports.writer.write(
                    SYSTEM_ACCOUNT, lambda plan: plan_failure(plan, letters, failures_max=most)
                )
                if left <= 0:
                    text = "There were too many wrong passwords: begin anew on the device."
                    return Page(403, error_page(text))
            return self._device(letters, device, seat, status, proved, form.get("username", ""))
        principal, revoked = proved
        try:
            waited = await self._ports.writer.write(
                SYSTEM_ACCOUNT,
                lambda plan: plan_approve(
                    plan,
                    letters,
                    principal.account,
                    code_ms=self._settings.code_ms,
                    revoked=revoked,
                ),
            )
        except RevokedMeanwhile:
            return self._device(letters, device, seat, 403, WRONG_PASSWORD)
        if not waited:
            return Page(404, code_page(DEVICE_PATH, seat.csrf, wrong=NO_CODE))
        return Page(200, done_page("The device is signed in. You can close this page."))

    def _device(
        self,
        letters: str,
        device: Device,
        seat: Seat,
        status: int,
        wrong: str = "",
        username: str = "",
    ) -> Page:
        html = device_page(
            DEVICE_PATH,
            seat.csrf,
            user_code=render_letters(letters),
            client=self._settings.clients.get(device.client)
            or KnownClient(device.client, device.client_name, (), ()),
            scopes=device.scopes,
            username=username[:HINT_CHARS_MAX],
            wrong=wrong,
        )
        return Page(status, html, retry=status in (429, 503))


_STATUS: Final = {WRONG_PASSWORD: 403, TOO_MANY: 429, NO_LEADER: 503}


def letters_of(typed: str) -> str:
    """A user code as it was made: case, hyphens and spaces do not count (RFC 8628 6.1)."""
    return "".join(letter for letter in typed.upper() if letter not in "- \t")


def render_letters(letters: str) -> str:
    """`XXXX-XXXX`."""
    half = USER_CODE_LENGTH // 2
    return f"{letters[:half]}-{letters[half:]}"
