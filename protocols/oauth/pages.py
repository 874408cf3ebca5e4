"""Pages for people: plain HTML, no scripts, nothing from elsewhere; what others said is escaped."""

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from typing import Final

from protocols.oauth.scopes import SAID
from protocols.oauth.settings import KnownClient

STYLE: Final = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 26rem; margin: 3rem auto; padding: 0 1rem;
  color: #222; background: #fff }
h1 { font-size: 1.4rem } label { display: block; margin: .8rem 0 }
input { display: block; width: 100%; box-sizing: border-box; font: inherit; padding: .5rem;
  border: 1px solid #888; border-radius: .3rem }
button { font: inherit; padding: .5rem 1.4rem; margin: .8rem .8rem 0 0; border-radius: .3rem;
  border: 1px solid #235; background: #fff; color: #235 }
button.yes { background: #235; color: #fff }
.wrong { border-left: .3rem solid #b00; padding-left: .7rem }
.aside { color: #555; font-size: .9rem }
code { font-size: 1.3rem; letter-spacing: .1rem }
"""
# What the policy of a page names its style by (CSP 3, 2.3.1).
STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

WRONG_PASSWORD: Final = "The address or the password is wrong."
TOO_MANY: Final = "There were too many attempts: try again in a while."
NO_LEADER: Final = "The mail servers cannot answer just now: try again in a moment."
NO_CODE: Final = "No device waits with this code: look at it again, or begin anew on the device."


def _page(title: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n{body}</body></html>\n"
    )


def _wrong(wrong: str) -> str:
    return f'<p class="wrong" role="alert">{escape(wrong)}</p>\n' if wrong else ""


def _hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{name}" value="{escape(value)}">\n'


def _asked(client: KnownClient, scopes: Iterable[str]) -> str:
    wants = "".join(f"<li>{escape(SAID[scope])}</li>" for scope in scopes)
    name = f"<strong>{escape(client.name)}</strong>"
    if client.checked:
        return f"<p>{name} asks to:</p>\n<ul>{wants}</ul>\n"
    more = f', of <span class="aside">{escape(client.uri)}</span>,' if client.uri else ""
    return (
        f"<p>A program that calls itself {name}{more} asks to:</p>\n<ul>{wants}</ul>\n"
        '<p class="aside">Nobody has checked its name. Go on only if you began this yourself.</p>\n'
    )


_SIGN_IN: Final = (
    '<label>Mail address<input name="username" type="text" inputmode="email" '
    'autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="320" '
    'value="{username}"></label>\n'
    '<label>Password<input name="password" type="password" autocomplete="current-password" '
    'maxlength="1024"></label>\n'
    '<button class="yes" name="decision" value="allow">Sign in and allow</button>'
    '<button name="decision" value="deny" formnovalidate>Refuse</button>\n'
)


def consent_page(
    action: str,
    csrf: str,
    *,
    client: KnownClient,
    scopes: Iterable[str],
    username: str,
    wrong: str = "",
) -> str:
    """Sign in, and let the client in, or do not."""
    body = (
        f"{_wrong(wrong)}{_asked(client, scopes)}"
        f'<form method="post" action="{escape(action)}">\n{_hidden("csrf", csrf)}'
        f"{_SIGN_IN.format(username=escape(username))}</form>\n"
    )
    return _page("Sign in to your mail", body)


def code_page(action: str, csrf: str, *, user_code: str = "", wrong: str = "") -> str:
    """Where a user types what his device shows."""
    body = (
        f"{_wrong(wrong)}<p>Type the code that your device shows.</p>\n"
        f'<form method="post" action="{escape(action)}">\n{_hidden("csrf", csrf)}'
        '<label>Code<input name="user_code" type="text" autocomplete="off" '
        'autocapitalize="characters" spellcheck="false" maxlength="32" '
        f'value="{escape(user_code)}"></label>\n'
        '<button class="yes">Go on</button></form>\n'
    )
    return _page("Sign in on a device", body)


def device_page(
    action: str,
    csrf: str,
    *,
    user_code: str,
    client: KnownClient,
    scopes: Iterable[str],
    username: str = "",
    wrong: str = "",
) -> str:
    """Sign in, and let the device in, or do not (RFC 8628 3.3, 5.4)."""
    body = (
        f"{_wrong(wrong)}<p>Is this the code that <em>your</em> device shows?</p>\n"
        f"<p><code>{escape(user_code)}</code></p>\n{_asked(client, scopes)}"
        f'<form method="post" action="{escape(action)}">\n{_hidden("csrf", csrf)}'
        f"{_hidden('user_code', user_code)}"
        f"{_SIGN_IN.format(username=escape(username))}</form>\n"
    )
    return _page("Sign in on a device", body)


def done_page(text: str) -> str:
    """It is over."""
    return _page("Done", f"<p>{escape(text)}</p>\n")


def error_page(text: str) -> str:
    """It went wrong."""
    return _page("This did not work", _wrong(text))
