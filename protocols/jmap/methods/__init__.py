"""One table of all methods: name -> the capability it belongs to and the function that runs it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from protocols.jmap.capabilities import BLOB, CORE, MAIL, MDN, QUOTA, SUBMISSION, VACATION
from protocols.jmap.context import Context
from protocols.jmap.methods.blob import blob_copy, blob_get, blob_lookup
from protocols.jmap.methods.blob_upload import blob_upload
from protocols.jmap.methods.core import echo
from protocols.jmap.methods.email_copy import email_copy
from protocols.jmap.methods.email_get import email_changes, email_get
from protocols.jmap.methods.email_import import email_import
from protocols.jmap.methods.email_parse import email_parse
from protocols.jmap.methods.email_query import email_query, email_query_changes
from protocols.jmap.methods.email_set import email_set
from protocols.jmap.methods.identity import identity_changes, identity_get, identity_set
from protocols.jmap.methods.mailbox import mailbox_changes, mailbox_get, mailbox_set
from protocols.jmap.methods.mailbox_query import mailbox_query, mailbox_query_changes
from protocols.jmap.methods.mdn import mdn_parse, mdn_send
from protocols.jmap.methods.push_subscription import push_subscription_get, push_subscription_set
from protocols.jmap.methods.quota import (
    quota_changes,
    quota_get,
    quota_query,
    quota_query_changes,
)
from protocols.jmap.methods.search_snippet import search_snippet_get
from protocols.jmap.methods.submission import (
    submission_changes,
    submission_get,
    submission_query,
    submission_query_changes,
    submission_set,
)
from protocols.jmap.methods.thread import thread_changes, thread_get
from protocols.jmap.methods.vacation import vacation_get, vacation_set
from protocols.jmap.standard import Answer

Run = Callable[[Context, Mapping[str, Any]], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Method:
    """How a method is run; unknown unless its capability is in `using` (RFC 8620 3.3)."""

    capability: str
    run: Run


METHODS: Final[Mapping[str, Method]] = {
    "Core/echo": Method(CORE, echo),
    "PushSubscription/get": Method(CORE, push_subscription_get),
    "PushSubscription/set": Method(CORE, push_subscription_set),
    "Blob/copy": Method(CORE, blob_copy),
    "Blob/get": Method(BLOB, blob_get),
    "Blob/lookup": Method(BLOB, blob_lookup),
    "Blob/upload": Method(BLOB, blob_upload),
    "Mailbox/get": Method(MAIL, mailbox_get),
    "Mailbox/changes": Method(MAIL, mailbox_changes),
    "Mailbox/query": Method(MAIL, mailbox_query),
    "Mailbox/queryChanges": Method(MAIL, mailbox_query_changes),
    "Mailbox/set": Method(MAIL, mailbox_set),
    "Thread/get": Method(MAIL, thread_get),
    "Thread/changes": Method(MAIL, thread_changes),
    "Email/get": Method(MAIL, email_get),
    "Email/changes": Method(MAIL, email_changes),
    "Email/query": Method(MAIL, email_query),
    "Email/queryChanges": Method(MAIL, email_query_changes),
    "Email/set": Method(MAIL, email_set),
    "Email/copy": Method(MAIL, email_copy),
    "Email/import": Method(MAIL, email_import),
    "Email/parse": Method(MAIL, email_parse),
    "SearchSnippet/get": Method(MAIL, search_snippet_get),
    "Identity/get": Method(SUBMISSION, identity_get),
    "Identity/changes": Method(SUBMISSION, identity_changes),
    "Identity/set": Method(SUBMISSION, identity_set),
    "EmailSubmission/get": Method(SUBMISSION, submission_get),
    "EmailSubmission/changes": Method(SUBMISSION, submission_changes),
    "EmailSubmission/query": Method(SUBMISSION, submission_query),
    "EmailSubmission/queryChanges": Method(SUBMISSION, submission_query_changes),
    "EmailSubmission/set": Method(SUBMISSION, submission_set),
    "MDN/parse": Method(MDN, mdn_parse),
    "MDN/send": Method(MDN, mdn_send),
    "Quota/get": Method(QUOTA, quota_get),
    "Quota/changes": Method(QUOTA, quota_changes),
    "Quota/query": Method(QUOTA, quota_query),
    "Quota/queryChanges": Method(QUOTA, quota_query_changes),
    "VacationResponse/get": Method(VACATION, vacation_get),
    "VacationResponse/set": Method(VACATION, vacation_set),
}
