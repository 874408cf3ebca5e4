"""What clients find out: the server's metadata (RFC 8414) and a resource's (RFC 9728).

The issuer is what URLs of this service begin with, as the client reached it (http/origin.py).
"""

from typing import Any, Final

from protocols.oauth.scopes import SUPPORTED

SERVER_PATH: Final = "/.well-known/oauth-authorization-server"
RESOURCE_PATH: Final = "/.well-known/oauth-protected-resource"
AUTHORIZE_PATH: Final = "/oauth/authorize"
TOKEN_PATH: Final = "/oauth/token"
DEVICE_AUTHORIZATION_PATH: Final = "/oauth/device_authorization"
DEVICE_PATH: Final = "/oauth/device"
REVOKE_PATH: Final = "/oauth/revoke"
REGISTER_PATH: Final = "/oauth/register"

CODE_GRANT: Final = "authorization_code"
REFRESH_GRANT: Final = "refresh_token"
DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"


def server_metadata(base: str, *, registration: bool) -> dict[str, Any]:
    """RFC 8414 2; draft-ietf-mailmaint-oauth-public-05 3.2; RFC 8628 4; RFC 9207 3."""
    document: dict[str, Any] = {
        "issuer": base,
        "authorization_endpoint": base + AUTHORIZE_PATH,
        "token_endpoint": base + TOKEN_PATH,
        "device_authorization_endpoint": base + DEVICE_AUTHORIZATION_PATH,
        "revocation_endpoint": base + REVOKE_PATH,
        "scopes_supported": list(SUPPORTED),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [CODE_GRANT, REFRESH_GRANT, DEVICE_GRANT],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }
    if registration:
        document["registration_endpoint"] = base + REGISTER_PATH
    return document


def resource_metadata(base: str, path: str) -> dict[str, Any]:
    """RFC 9728 2: of the service itself, or of its resource at `path`."""
    return {
        "resource": base + path,
        "authorization_servers": [base],
        "scopes_supported": list(SUPPORTED),
        "bearer_methods_supported": ["header"],
    }
