"""Access tokens for tests: what a client has after its user has let it in (storage/grants.py)."""

from typing import Final

from protocols.bearer import MAIL_SCOPE
from storage.grants import Issued, Terms, plan_grant
from storage.ids import AccountId
from tests.fakes import FakeHouse

HOUR_MS: Final = 3_600_000
TERMS: Final = Terms(access_ms=HOUR_MS, refresh_ms=30 * 24 * HOUR_MS)


def let_in(
    house: FakeHouse, account: AccountId, *, scopes: tuple[str, ...] = (MAIL_SCOPE,)
) -> Issued:
    """A client with fresh tokens of the account."""
    return house.run(
        lambda plan: plan_grant(
            plan, account, client="c", client_name="Client", scopes=scopes, terms=TERMS
        )
    )
