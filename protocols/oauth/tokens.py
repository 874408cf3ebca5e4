"""What a client does by itself: it registers, begins on a device, and gets, renews and revokes
tokens (RFC 7591, RFC 8628, RFC 6749 4.1.3 and 6, RFC 7009). All clients are public: none has a
secret to show, so a code, a refresh token or a device code is what counts.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

from protocols.oauth.answers import Answer, Json, refused, unavailable
from protocols.oauth.asking import CLIENT_CHARS_MAX, challenge_of
from protocols.oauth.consent import find_client, render_letters
from protocols.oauth.metadata import CODE_GRANT, DEVICE_GRANT, DEVICE_PATH, REFRESH_GRANT
from protocols.oauth.registration import RegistrationInvalid, parse_registration
from protocols.oauth.scopes import SUPPORTED, ScopeInvalid, choose
from protocols.oauth.settings import OauthSettings
from protocols.ports import Ports, Unavailable
from storage.clients import plan_register
from storage.codes import Asked, Polled, TooManyDevices, plan_device, plan_poll, plan_redeem
from storage.grants import Issued, ScopesTooWide, plan_refresh, plan_revoke_token
from storage.ids import SYSTEM_ACCOUNT
from storage.oauth_rows import DEVICE, parse_token
from storage.plan import Plan

# RFC 8628 3.2, 3.5: how often a device may ask; one that asks sooner shall ask less often.
INTERVAL_S: Final = 5
INTERVAL_MAX_S: Final = 60
# A device that keeps its interval may still come early by what its network did before.
EARLY_S: Final = 1.0
# Devices whose asking is remembered, on this node; at more, the one that asked longest ago goes.
POLLS_MAX: Final = 2_000

_BUSY: Final = "too many have asked from your network; try again later"
_SAID: Final = {
    Polled.PENDING: "the user has not decided yet",
    Polled.DENIED: "the user has refused, or it was taken back",
    Polled.EXPIRED: "nobody has used the code in time; begin anew",
    Polled.UNKNOWN: "it is no device code of this client, or was used before",
}


class Polls:
    """When devices asked last, and how long each shall wait."""

    def __init__(self) -> None:
        self._seen: OrderedDict[int, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def is_too_soon(self, device: int, now_s: float) -> bool:
        """It asks now; whether that is sooner than it may, which makes its interval longer."""
        last_s, interval_s = self._seen.get(device, (-INTERVAL_MAX_S, INTERVAL_S))
        soon = now_s - last_s < interval_s - EARLY_S
        if soon:
            interval_s = min(interval_s + INTERVAL_S, INTERVAL_MAX_S)
        self._seen[device] = (now_s, interval_s)
        self._seen.move_to_end(device)
        if len(self._seen) > POLLS_MAX:
            self._seen.popitem(last=False)
        return soon


class Tokens:
    """The endpoints for programs, of one node."""

    def __init__(self, ports: Ports, settings: OauthSettings) -> None:
        self._ports = ports
        self._settings = settings
        self._polls = Polls()

    async def token(self, form: Mapping[str, str]) -> Answer:
        """The token endpoint (RFC 6749 3.2)."""
        client, grant_type = form.get("client_id", ""), form.get("grant_type", "")
        if not grant_type:
            return refused("invalid_request", "grant_type is missing")
        if not 0 < len(client) <= CLIENT_CHARS_MAX:
            return refused("invalid_request", "client_id is missing, or too long")
        try:
            match grant_type:
                case "authorization_code":
                    return await self._redeem(form, client)
                case "refresh_token":
                    return await self._refresh(form, client)
                case "urn:ietf:params:oauth:grant-type:device_code":
                    return await self._poll(form, client)
        except Unavailable:
            return unavailable()
        known = f"{CODE_GRANT}, {REFRESH_GRANT} and {DEVICE_GRANT}"
        return refused("unsupported_grant_type", f"there are {known}")

    async def _redeem(self, form: Mapping[str, str], client: str) -> Answer:
        for name in ("code", "redirect_uri", "code_verifier"):
            if name not in form:
                return refused("invalid_request", f"{name} is missing")
        challenge = challenge_of(form["code_verifier"])
        if challenge is None:
            text = "code_verifier must be 43 to 128 letters, digits and -._~"
            return refused("invalid_request", text)
        issued = await self._write(
            lambda plan: plan_redeem(
                plan,
                form["code"],
                client=client,
                redirect_uri=form["redirect_uri"],
                challenge=challenge,
                terms=self._settings.terms,
            )
        )
        if issued is None:
            text = "the code is wrong, used, over, or not for this client, URI and verifier"
            return await self._no_grant(client, text)
        return _told(issued)

    async def _refresh(self, form: Mapping[str, str], client: str) -> Answer:
        if "refresh_token" not in form:
            return refused("invalid_request", "refresh_token is missing")
        try:
            scopes = choose(form["scope"], SUPPORTED) if "scope" in form else ()
            issued = await self._write(
                lambda plan: plan_refresh(
                    plan,
                    form["refresh_token"],
                    client=client,
                    scopes=scopes,
                    terms=self._settings.terms,
                )
            )
        except ScopeInvalid as error:
            return refused("invalid_scope", str(error))
        except ScopesTooWide:
            return refused("invalid_scope", "the user has not granted so much")
        if issued is None:
            text = "the refresh token is wrong, used, over, revoked, or not of this client"
            return await self._no_grant(client, text)
        return _told(issued)

    async def _poll(self, form: Mapping[str, str], client: str) -> Answer:
        if "device_code" not in form:
            return refused("invalid_request", "device_code is missing")
        parsed = parse_token(DEVICE, form["device_code"])
        if parsed is None:
            return await self._no_grant(client, _SAID[Polled.UNKNOWN])
        if self._polls.is_too_soon(parsed[0][0], self._ports.clock.monotonic_s()):
            return refused("slow_down", f"ask {INTERVAL_S} seconds less often")
        polled = await self._write(
            lambda plan: plan_poll(
                plan, form["device_code"], client=client, terms=self._settings.terms
            )
        )
        match polled:
            case Issued():
                return _told(polled)
            case Polled.UNKNOWN:
                return await self._no_grant(client, _SAID[polled])
        return refused(polled.value, _SAID[polled])

    async def _no_grant(self, client: str, why: str) -> Answer:
        """RFC 6749 5.2: whoever is not known as a client is told that first."""
        if not await self._is_known(client):
            return refused("invalid_client", "no such client is registered")
        return refused("invalid_grant", why)

    async def _is_known(self, client: str) -> bool:
        view = await self._ports.reader.view()
        now_ms = self._ports.clock.now_ms()
        return find_client(view, client, now_ms, self._settings) is not None

    async def _write(self, command: Callable[[Plan], Any]) -> Any:
        return await self._ports.writer.write(SYSTEM_ACCOUNT, command)

    async def revoke(self, form: Mapping[str, str]) -> Answer:
        """RFC 7009 2: what is not good is as good as revoked; no hint of its type is needed."""
        client = form.get("client_id", "")
        if "token" not in form:
            return refused("invalid_request", "token is missing")
        if not 0 < len(client) <= CLIENT_CHARS_MAX:
            return refused("invalid_request", "client_id is missing, or too long")
        try:
            await self._write(lambda plan: plan_revoke_token(plan, form["token"], client=client))
        except Unavailable:
            return unavailable()
        return Json(200, None)

    async def begin_device(self, form: Mapping[str, str], *, base: str, remote: str) -> Answer:
        """RFC 8628 3.1: a device wants in."""
        try:
            view = await self._ports.reader.view()
            now_ms, name = self._ports.clock.now_ms(), form.get("client_id", "")
            if not name:
                return refused("invalid_request", "client_id is missing")
            client = find_client(view, name, now_ms, self._settings)
            if client is None:
                return refused("invalid_client", "no such client is registered")
            scopes = choose(form.get("scope", ""), client.scopes)
            if not self._settings.newcomers.take(remote):
                return refused("slow_down", _BUSY, status=429, retry=True)
            asked = Asked(client.client, client.name, scopes)
            user_code_ms, site = self._settings.user_code_ms, self._settings.newcomers.site(remote)
            code, letters = await self._write(
                lambda plan: plan_device(plan, asked, user_code_ms=user_code_ms, site=site)
            )
        except ScopeInvalid as error:
            return refused("invalid_scope", str(error))
        except TooManyDevices:
            text = "too many devices wait for their users; try again later"
            return refused("temporarily_unavailable", text, status=503, retry=True)
        except Unavailable:
            return unavailable()
        user_code = render_letters(letters)
        return Json(
            200,
            {
                "device_code": code,
                "user_code": user_code,
                "verification_uri": base + DEVICE_PATH,
                "verification_uri_complete": f"{base}{DEVICE_PATH}?user_code={user_code}",
                "expires_in": user_code_ms // 1000,
                "interval": INTERVAL_S,
            },
        )

    async def register(self, body: bytes, *, remote: str) -> Answer:
        """RFC 7591 3."""
        if not self._settings.registration:
            text = "clients are registered by the operator here"
            return refused("access_denied", text, status=403)
        try:
            registration = parse_registration(body)
        except RegistrationInvalid as error:
            return refused(error.error, error.why)
        if not self._settings.newcomers.take(remote):
            return refused("temporarily_unavailable", _BUSY, status=429, retry=True)
        now_ms = self._ports.clock.now_ms()
        try:
            client = await self._write(
                lambda plan: plan_register(
                    plan,
                    name=registration.name,
                    uri=registration.uri,
                    redirect_uris=registration.redirect_uris,
                    scopes=registration.scopes,
                    more=registration.more,
                )
            )
        except Unavailable:
            return unavailable()
        told = {"client_id": client, "client_id_issued_at": now_ms // 1000}
        return Json(201, told | registration.told)


def _told(issued: Issued) -> Json:
    """RFC 6749 5.1."""
    return Json(
        200,
        {
            "access_token": issued.access_token,
            "token_type": "Bearer",
            "expires_in": issued.access_ms // 1000,
            "refresh_token": issued.refresh_token,
            "scope": " ".join(issued.scopes),
        },
    )
