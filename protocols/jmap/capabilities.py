"""RFC 8620 2: the session resource, with the limits this server keeps, and nothing it has not.

A capability is listed when its methods are; the numbers here are the ones the code enforces.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec

from protocols.collation import COLLATIONS
from protocols.ports import Principal
from protocols.webpush.vapid import application_server_key
from storage.engine import Rows
from storage.ids import AccountId, render_account
from storage.mail.ingest import EMAIL_MAILBOXES_MAX
from storage.mail.tree import MAILBOX_DEPTH_MAX, MAILBOX_NAME_OCTETS_MAX
from storage.push_keys import push_key

CORE: Final = "urn:ietf:params:jmap:core"
MAIL: Final = "urn:ietf:params:jmap:mail"
SUBMISSION: Final = "urn:ietf:params:jmap:submission"
VACATION: Final = "urn:ietf:params:jmap:vacationresponse"
QUOTA: Final = "urn:ietf:params:jmap:quota"
BLOB: Final = "urn:ietf:params:jmap:blob"
MDN: Final = "urn:ietf:params:jmap:mdn"
WEBSOCKET: Final = "urn:ietf:params:jmap:websocket"
VAPID: Final = "urn:ietf:params:jmap:webpush-vapid"
OF_ACCOUNTS: Final = (CORE, MAIL, SUBMISSION, VACATION, QUOTA, BLOB, MDN)
"""What an account may be used with, by methods that name it."""
CAPABILITIES: Final = frozenset((*OF_ACCOUNTS, WEBSOCKET, VAPID))

API_PATH: Final = "/jmap/api"
UPLOAD_PATH: Final = "/jmap/upload/{accountId}/"
DOWNLOAD_PATH: Final = "/jmap/download/{accountId}/{blobId}/{name}?type={type}"
WEBSOCKET_PATH: Final = "/jmap/ws"
# RFC 8621 4.4.2: what Email/query sorts by.
EMAIL_SORTS: Final = (
    *("receivedAt", "size", "from", "to", "subject", "sentAt"),
    *("hasKeyword", "allInThreadHaveKeyword", "someInThreadHaveKeyword"),
)
EVENT_SOURCE_PATH: Final = "/jmap/eventsource/?types={types}&closeafter={closeafter}&ping={ping}"


# RFC 9404 3.1: types that Blob/lookup finds, and digests of Blob/get with hashlib's names.
LOOKUP_TYPES: Final = ("Mailbox", "Thread", "Email")
DIGESTS: Final = {"sha-256": "sha256", "sha-512": "sha512", "sha": "sha1", "md5": "md5"}
# An account's uploads that nothing refers to may weigh as much as so many of the largest.
UPLOADS_KEPT: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of RFC 8620 2, all inclusive. Octets and counts."""

    upload_bytes_max: int = 50_000_000
    """maxSizeUpload."""
    uploads_max: int = 4
    """maxConcurrentUpload, of one account on this node."""
    request_bytes_max: int = 10_000_000
    """maxSizeRequest."""
    requests_max: int = 8
    """maxConcurrentRequests, of one account on this node."""
    calls_max: int = 32
    """maxCallsInRequest."""
    get_objects_max: int = 1000
    """maxObjectsInGet."""
    set_objects_max: int = 500
    """maxObjectsInSet."""
    blob_sources_max: int = 256
    """maxDataSources (RFC 9404 3.1): what one blob of Blob/upload is put together from."""
    submission_bytes_max: int = 50_000_000
    """RFC 8621 7.5: the largest email that is sent."""
    recipients_max: int = 100
    """RFC 8621 7.5: of one submission."""
    delayed_send_s_max: int = 30 * 24 * 3600
    """maxDelayedSend (RFC 8621 1.3.2): how long a submission may wait to be sent."""

    @property
    def uploads_kept_max(self) -> int:
        """RFC 8620 6: octets of an account's uploads that nothing refers to yet, all together."""
        return UPLOADS_KEPT * self.upload_bytes_max


def _core(limits: Limits) -> dict[str, Any]:
    return {
        "maxSizeUpload": limits.upload_bytes_max,
        "maxConcurrentUpload": limits.uploads_max,
        "maxSizeRequest": limits.request_bytes_max,
        "maxConcurrentRequests": limits.requests_max,
        "maxCallsInRequest": limits.calls_max,
        "maxObjectsInGet": limits.get_objects_max,
        "maxObjectsInSet": limits.set_objects_max,
        "collationAlgorithms": sorted(COLLATIONS),
    }


def _mail(limits: Limits) -> dict[str, Any]:
    """RFC 8621 1.3.1."""
    return {
        "maxMailboxesPerEmail": EMAIL_MAILBOXES_MAX,
        "maxMailboxDepth": MAILBOX_DEPTH_MAX,
        "maxSizeMailboxName": MAILBOX_NAME_OCTETS_MAX,
        "maxSizeAttachmentsPerEmail": limits.upload_bytes_max,
        "emailQuerySortOptions": list(EMAIL_SORTS),
        "mayCreateTopLevelMailbox": True,
    }


def _submission(limits: Limits) -> dict[str, Any]:
    """RFC 8621 1.3.2."""
    return {
        "maxDelayedSend": limits.delayed_send_s_max,
        # RFC 4865 4: the longest interval; a date may be given as long as it is no further.
        "submissionExtensions": {
            "FUTURERELEASE": [str(limits.delayed_send_s_max)],
            "SIZE": [str(limits.submission_bytes_max)],
            "8BITMIME": [],
            "SMTPUTF8": [],
        },
    }


def _blob(limits: Limits) -> dict[str, Any]:
    """RFC 9404 3.1."""
    return {
        "maxSizeBlobSet": limits.upload_bytes_max,
        "maxDataSources": limits.blob_sources_max,
        "supportedTypeNames": list(LOOKUP_TYPES),
        "supportedDigestAlgorithms": list(DIGESTS),
    }


def _of_account(limits: Limits) -> dict[str, dict[str, Any]]:
    """What accountCapabilities tells of each."""
    told: dict[str, dict[str, Any]] = {each: {} for each in OF_ACCOUNTS}
    return told | {MAIL: _mail(limits), SUBMISSION: _submission(limits), BLOB: _blob(limits)}


def server_key(rows: Rows) -> str | None:
    """The key by which push services know this cluster (RFC 9749 3); None until it is made."""
    number = push_key(rows)
    return None if number is None else application_server_key(number)


@lru_cache(maxsize=4096)
def _fixed(
    account: AccountId, address: str, limits: Limits, key: str | None
) -> tuple[dict[str, Any], str]:
    name = render_account(account)
    pushing = {} if key is None else {VAPID: {"applicationServerKey": key}}
    content = {
        # RFC 8621 1.3, RFC 9404 3.1, RFC 9425 2.1: what differs by account is told there.
        "capabilities": {**{each: {} for each in OF_ACCOUNTS}, CORE: _core(limits), **pushing},
        "accounts": {
            name: {
                "name": address,
                "isPersonal": True,
                "isReadOnly": False,
                "accountCapabilities": _of_account(limits),
            }
        },
        # RFC 8620 2: core belongs to no account in particular.
        "primaryAccounts": dict.fromkeys((each for each in OF_ACCOUNTS if each != CORE), name),
        "username": address,
    }
    return content, hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:16]


def session_state(principal: Principal, limits: Limits, key: str | None) -> str:
    """The state of this user's session: changes with anything in the resource but its URLs."""
    return _fixed(principal.account, principal.address, limits, key)[1]


def _websocket(base_url: str) -> dict[str, Any]:
    """RFC 8887 3: http becomes ws, https becomes wss."""
    return {"url": "ws" + base_url.removeprefix("http") + WEBSOCKET_PATH, "supportsPush": True}


def session(principal: Principal, limits: Limits, base_url: str, key: str | None) -> dict[str, Any]:
    """The session resource of this user; `base_url` has no slash at its end."""
    content, state = _fixed(principal.account, principal.address, limits, key)
    return {
        **content,
        "capabilities": content["capabilities"] | {WEBSOCKET: _websocket(base_url)},
        "apiUrl": base_url + API_PATH,
        "downloadUrl": base_url + DOWNLOAD_PATH,
        "uploadUrl": base_url + UPLOAD_PATH,
        "eventSourceUrl": base_url + EVENT_SOURCE_PATH,
        "state": state,
    }
