"""Command type to the function that carries it out: one table."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from protocols.imap import commands as c
from protocols.imap.acl_commands import DeleteAcl, GetAcl, ListRights, MyRights, SetAcl
from protocols.imap.append_commands import Append, Replace
from protocols.imap.batches import UidBatches
from protocols.imap.connection_commands import GetJmapAccess
from protocols.imap.fetch_commands import Fetch
from protocols.imap.metadata import GetMetadata, SetMetadata
from protocols.imap.ops import (
    acl,
    append,
    batches,
    copying,
    fetch,
    listing,
    login,
    mailboxes,
    metadata,
    multisearch,
    notify,
    quota,
    search,
    selecting,
    sort,
    store,
    updates,
    urlauth,
    urlfetch,
)
from protocols.imap.ops.context import Context
from protocols.imap.quota_commands import GetQuota, GetQuotaRoot, SetQuota
from protocols.imap.responses import Ending
from protocols.imap.search_commands import (
    CancelUpdate,
    MultiSearch,
    NotSearched,
    Search,
    Sort,
    Thread,
)
from protocols.imap.url_commands import GenUrlAuth, ResetKey, UrlFetch

# Each function takes the command of its own type.
Op = Callable[[Context, Any], Awaitable[Ending]]

OPS: Final[Mapping[type, Op]] = {
    c.Capability: login.capability,
    c.Noop: login.noop,
    c.Check: login.noop,
    c.Logout: login.logout,
    c.Id: login.identify,
    c.Login: login.login,
    c.Enable: login.enable,
    c.Select: selecting.select,
    c.Close: selecting.close,
    c.Create: mailboxes.create,
    c.Delete: mailboxes.delete,
    c.Rename: mailboxes.rename,
    c.Subscribe: mailboxes.subscribe,
    c.List: listing.list_mailboxes,
    c.Lsub: listing.lsub,
    c.Status: listing.status,
    c.Namespace: listing.namespace,
    c.Notify: notify.notify,
    c.Expunge: copying.expunge,
    c.Copy: copying.copy,
    Fetch: fetch.fetch,
    c.Store: store.store,
    Append: append.append,
    Replace: append.replace,
    Search: search.search,
    NotSearched: search.not_searched,
    Sort: sort.sort,
    Thread: sort.thread,
    CancelUpdate: updates.cancel_update,
    MultiSearch: multisearch.multi_search,
    UidBatches: batches.uid_batches,
    GetJmapAccess: login.get_jmap_access,
    GetMetadata: metadata.get_metadata,
    GetQuota: quota.get_quota,
    SetQuota: quota.set_quota,
    GetQuotaRoot: quota.get_quota_root,
    SetMetadata: metadata.set_metadata,
    SetAcl: acl.set_acl,
    DeleteAcl: acl.delete_acl,
    GetAcl: acl.get_acl,
    ListRights: acl.list_rights,
    MyRights: acl.my_rights,
    ResetKey: urlauth.reset_key,
    GenUrlAuth: urlauth.gen_url_auth,
    UrlFetch: urlfetch.url_fetch,
}
"""All but those that change the stream itself: STARTTLS, COMPRESS and their kin (session.py)."""
