"""What an operator may ask of push: another key to sign with (RFC 9749 5)."""

from collections.abc import Mapping
from typing import Any

from node import logs
from node.admin import AdminRefused
from protocols.jmap.values import render_utc_date
from protocols.ports import Unavailable, Writer
from protocols.webpush.vapid import application_server_key
from storage.ids import SYSTEM_ACCOUNT
from storage.plan import Plan
from storage.push_keys import StillTurning, plan_push_key, plan_rotate

log = logs.named("node.push")


class PushDesk:
    """Answers the push calls of node/admin."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def calls(self) -> dict[str, Any]:
        """The calls by name."""
        return {"push.rotate-key": self.rotate}

    async def rotate(self, args: Mapping[str, Any]) -> Any:
        """Another key: {at_once} -> {key, old_key, old_key_until}; public keys, and a UTCDate."""
        at_once = args.get("at_once", False)
        if not isinstance(at_once, bool):
            raise AdminRefused("at_once is not true or false: say which.")

        def command(plan: Plan) -> dict[str, str]:
            old = plan_rotate(plan, at_once=at_once)
            return {
                "key": application_server_key(plan_push_key(plan)),
                "old_key": application_server_key(old.key),
                "old_key_until": render_utc_date(old.until_ms),
            }

        try:
            told = await self._writer.write(SYSTEM_ACCOUNT, command)
        except StillTurning as error:
            raise AdminRefused(
                f"the key before signs until {render_utc_date(error.args[0])}:"
                " wait until then, or give --now, which ends what clients subscribed to with it."
            ) from error
        except Unavailable as error:
            raise AdminRefused(
                f"the cluster cannot answer now ({error}): see trireme status, then try again."
            ) from error
        log.info("push key rotated", key=told["key"], old_key_until=told["old_key_until"])
        return told
