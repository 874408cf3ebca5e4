"""A browser's page of another origin: fetch, EventSource and WebSocket, with CORS as configured.

`make browser` runs it. It needs a browser (Debian: apt-get install chromium), and says so when
there is none.
"""

import json
import os
import threading
from pathlib import Path

import pytest

from protocols.jmap.capabilities import CORE, MAIL
from tests.e2e.cluster import RealCluster
from tests.e2e.page import PAGE, PageServer, browser, opened
from tests.e2e.pushes import authorization

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("e2e"),
    pytest.mark.skipif("BROWSER" not in os.environ, reason="make browser runs it"),
]

USER, PASSWORD = "alice@example.org", "alice-demo"
PROGRAM = browser()


@pytest.mark.skipif(PROGRAM is None, reason="no browser is here: apt-get install chromium")
@pytest.mark.parametrize("allowed", [True, False])
def test_a_page_of_another_origin(tmp_path: Path, allowed: bool) -> None:
    assert PROGRAM is not None
    pages = PageServer()
    origin = pages.origin if allowed else "https://somebody.else.example"
    cluster = RealCluster.make(tmp_path, 1, f'[http]\nallow-origins = ["{origin}"]\n')
    threading.Thread(target=pages.server.serve_forever, daemon=True).start()
    try:
        cluster.start()
        cluster.wait_ready()
        host, port = cluster.nodes[0].address("http")
        # Another tab signs in, as a person would.
        signed_in = f"http://alice%40example.org:{PASSWORD}@{host}:{port}/.well-known/jmap"
        pages.page = (
            PAGE
            % {
                "base": json.dumps(f"http://{host}:{port}"),
                "authorization": json.dumps(authorization(USER, PASSWORD)),
                "signed_in": json.dumps(signed_in),
                "using": json.dumps([CORE, MAIL]),
            }
        ).encode()
        with opened(PROGRAM, f"{pages.origin}/page", tmp_path / "profile"):
            assert pages.ended.wait(120), cluster.logs()
    finally:
        cluster.end()
        pages.server.shutdown()
        pages.server.server_close()
    if allowed:
        assert pages.told == {
            "username": USER,
            "refused": 401,
            "created": True,
            "event": "StateChange",
            "pushed": "StateChange",
            "answered": "R",
        }
    else:
        assert set(pages.told) == {"error"} and "fetch" in pages.told["error"]
