"""A page that uses a node from a browser across origins, and the browser that opens it.

The page signs in by itself: fetch with an Authorization header, streams of events read by fetch
the same way. EventSource and WebSocket cannot carry that header, so they use what the browser
remembers: the credentials that another tab of it visited the node with.
"""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

PAGE = """<!doctype html><meta charset="utf-8"><script>
const base = %(base)s, authorization = %(authorization)s;
window.open(%(signed_in)s);
const told = {};
const tell = () => fetch("/told", {method: "POST", body: JSON.stringify(told)});
const call = async (calls) => {
  const answer = await fetch(base + "/jmap/api", {
    method: "POST",
    headers: {"Authorization": authorization, "Content-Type": "application/json"},
    body: JSON.stringify({using: %(using)s, methodCalls: calls}),
  });
  return (await answer.json()).methodResponses;
};
const once = (target, name) => new Promise((done, fail) => {
  target.addEventListener(name, done, {once: true});
  target.addEventListener("error", () => fail(new Error(name + " failed")), {once: true});
});
// The other tab may not have signed in yet.
const opened = async (make) => {
  for (let attempt = 0; attempt < 60; attempt++) {
    const made = make();
    try {
      await once(made, "open");
      return made;
    } catch (error) {
      made.close();
      await new Promise((done) => setTimeout(done, 500));
    }
  }
  throw new Error("never opened");
};
const within = (promise, what) => Promise.race([
  promise, new Promise((_, fail) => setTimeout(() => fail(new Error(what + " is late")), 15000)),
]);
(async () => {
  try {
    const session = await (await fetch(base + "/.well-known/jmap", {
      headers: {"Authorization": authorization},
    })).json();
    told.username = session.username;
    const accountId = Object.keys(session.accounts)[0];
    const wrong = await fetch(base + "/.well-known/jmap", {
      headers: {"Authorization": "Basic eDp5"},
    });
    told.refused = wrong.status;
    const events = await opened(() => new EventSource(
      base + "/jmap/eventsource/?types=*&closeafter=no&ping=0", {withCredentials: true}));
    const change = once(events, "state");
    const socket = await opened(() => new WebSocket(
      session.capabilities["urn:ietf:params:jmap:websocket"].url, "jmap"));
    const message = once(socket, "message");
    socket.send(JSON.stringify({"@type": "WebSocketPushEnable", dataTypes: null}));
    await new Promise((done) => setTimeout(done, 200));
    const made = await call([
      ["Mailbox/set", {accountId, create: {a: {name: "from a page " + Date.now()}}}, "c"]]);
    told.created = Boolean(made[0][1].created);
    told.event = JSON.parse((await within(change, "a state event")).data)["@type"];
    told.pushed = JSON.parse((await within(message, "a push")).data)["@type"];
    socket.send(JSON.stringify({"@type": "Request", id: "R", using: %(using)s,
      methodCalls: [["Core/echo", {}, "c"]]}));
    const answer = await within(once(socket, "message"), "a response");
    told.answered = JSON.parse(answer.data).requestId;
  } catch (error) {
    told.error = String(error);
  }
  await tell();
})();
</script>"""


def browser() -> str | None:
    """A browser of this machine, when there is one."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


class PageServer:
    """Serves the page from an origin of its own, and takes what the page tells."""

    def __init__(self) -> None:
        self.told: dict[str, Any] = {}
        self.ended = threading.Event()
        self.page = b""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = outer.page
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.told = json.loads(body)
                self.send_response(204)
                self.end_headers()
                outer.ended.set()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def opened(program: str, url: str, profile: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A headless browser at a URL, ended with the block."""
    words = [
        *(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        "--disable-popup-blocking",
        *("--proxy-server=direct://", f"--user-data-dir={profile}", url),
    ]
    process = subprocess.Popen(
        words,
        env=os.environ | {"HOME": str(profile)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
