"""What strangers say to OAuth: forms and queries, registrations, tokens."""

import re
from typing import Final

from protocols.oauth.asking import ClientTold, UserTold, challenge_of, read_place, read_request
from protocols.oauth.forms import FormInvalid, parse_form
from protocols.oauth.pages import code_page, consent_page
from protocols.oauth.redirects import form_source, is_registered, may_register
from protocols.oauth.registration import RegistrationInvalid, parse_registration
from protocols.oauth.scopes import SUPPORTED
from protocols.oauth.settings import KnownClient
from storage.oauth_rows import ACCESS, CODE, DEVICE, REFRESH, parse_token

CLIENT: Final = KnownClient(
    "fuzz", "Fuzz", ("http://127.0.0.1/done", "org.example:/done", "http://[::1]/a?b"), SUPPORTED
)
_BACK: Final = re.compile(
    r"(http://(127\.0\.0\.1|\[::1\]):[0-9]{1,5}/|org\.example:/done)[!-~]*\Z", re.ASCII
)
_SOURCE: Final = re.compile(r"(https?:(//[A-Za-z0-9.:-]+)?|[A-Za-z0-9+.-]+:)\Z", re.ASCII)


def oauth(data: bytes) -> None:
    """A form, as a query that a browser brings; the same bytes as a registration and as tokens."""
    _query(data)
    try:
        registration = parse_registration(data)
        for uri in registration.redirect_uris:
            assert may_register(uri) and _SOURCE.match(form_source(uri)), uri
    except RegistrationInvalid:
        pass
    text = data.decode("latin-1").strip()
    for word in (ACCESS, REFRESH, CODE, DEVICE):
        for token in (text, word.letters + text):
            parsed = parse_token(word, token)
            if parsed is not None:
                assert (len(parsed[0]), len(parsed[1])) == (word.numbers, word.secrets)
                assert all(len(secret) == 32 for secret in parsed[1])
    challenge = challenge_of(text)
    assert challenge is None or len(challenge) == 43


def _query(data: bytes) -> None:
    try:
        said = parse_form(data)
        place = read_place(said, CLIENT, "https://fuzz.example")
    except (FormInvalid, UserTold):
        return
    assert is_registered(place.uri, CLIENT.redirect_uris)
    assert _SOURCE.match(form_source(place.uri)), place
    for location in (place.with_code("code"), place.with_error("error", "why")):
        assert _BACK.match(location), location
    try:
        request = read_request(said, CLIENT, place)
    except ClientTold:
        return
    page = consent_page(
        f"/oauth/authorize?{data.decode('latin-1')}",
        "csrf",
        client=request.client,
        scopes=request.scopes,
        username=request.hint,
    ) + code_page("/oauth/device", "csrf", user_code=request.hint)
    assert page.count("<script") == 0 and page.count("<input") == 5, page
