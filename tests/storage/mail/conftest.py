"""One account with its usual mailboxes."""

import pytest

from tests.storage.mail.story import House


@pytest.fixture
def house() -> House:
    """Alice's mail, empty."""
    return House().open()
