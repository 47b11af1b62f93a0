"""The report page with the pages of other programs in it, opened in a browser: whatever they hold, nothing leaves."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from docs.picture import browse

from modelship.reporting import html
from modelship.reporting.embedded import EmbeddedPage
from modelship.reporting.report import build_report
from tests.unit.test_reporting import hostile
from tests.unit.test_reporting_scenarios import FACTS, good

# A process of its own, as a frame without an origin has, does not follow the virtual time by which the browser waits for scripts.
WAITING = ("--disable-features=IsolateSandboxedIframes", "--virtual-time-budget=5000", "--dump-dom")
ATTACKS = [
    "<img src=x onerror=\"document.title='owned'\">",
    "<script>document.title='owned'</script>",
    "</script></style></title></iframe><script>document.title='owned'</script>",
    "\"></iframe><script>document.title='owned'</script>",
    "' srcdoc='<script>top.document.title=1</script>",
    "javascript:document.title='owned'",
    "a|b\n::error::c @octocat <!-- x --> \u202etxt.exe\u2066",
    "<svg onload=document.title='owned'>" + "x" * 10_000,
]


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """A server, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def forged(url: str) -> str:
    """A page in which every way out is tried. Its scripts are its own, so that they may run."""
    script = f"""
        const attempts = [
          () => top.document.title = 'owned', () => parent.document.title = 'owned', () => top.location = '{url}/top',
          () => window.open('{url}/open'), () => fetch('{url}/fetch'), () => navigator.sendBeacon('{url}/beacon'),
          () => new WebSocket('{url.replace("http", "ws")}/socket'), () => new Image().src = '{url}/image',
          () => new Worker('{url}/worker'), () => document.querySelector('form').submit(),
          () => document.body.append(Object.assign(document.createElement('iframe'), {{src: '{url}/frame'}})),
          () => document.body.append(Object.assign(document.createElement('script'), {{src: '{url}/script'}})),
          () => localStorage.setItem('a', 'b'), () => document.cookie = 'a=b',
          () => alert('{url}'), () => eval("top.document.title = 'owned'"),
          () => parent.postMessage('owned', '*'), () => document.body.dataset.ran = 'yes', () => location = '{url}/location',
        ];
        for (const attempt of attempts) try {{ attempt() }} catch {{}}
    """
    return f"""<!doctype html><head><link rel="stylesheet" href="{url}/style"><link rel="prefetch" href="{url}/prefetch">
        <link rel="preload" as="image" href="{url}/preload"><base href="{url}/base/"></head><body>
        <form action="{url}/form" method="post"><input name="a"></form><img src="{url}/img" onerror="top.document.title='owned'">
        <iframe src="{url}/inner"></iframe><object data="{url}/object"></object><video src="{url}/video"></video>
        <style>body {{ background: url({url}/background) }} @import '{url}/import';</style>
        <script>{script}</script><meta http-equiv="refresh" content="0; url={url}/refresh"></body>"""


def opened(folder: Path, page: str) -> str:
    """What the browser makes of the page with everything unfolded."""
    path = folder / "report.html"
    path.write_text(page.replace("<details>", "<details open>"), encoding="utf-8", errors="replace")
    return browse(*WAITING, path.as_uri())


def title(shown: str) -> str:
    found = re.search(r"<title>(.*?)</title>", shown)
    assert found
    return found[1]


def test_a_forged_page_reaches_nothing(tmp_path: Path) -> None:
    with listening() as (url, asked):
        pages = (EmbeddedPage("Drift", forged(url), runs_scripts=True), EmbeddedPage("Data Docs", forged(url)))
        shown = opened(tmp_path, html.render_page(build_report("flight-delay", good(), FACTS, pages)))
    assert title(shown).startswith("🟢 flight-delay: every metric is within its margin")
    assert asked == []


def test_the_frame_holds_without_the_policy_and_the_page_would_reach_out_without_either(tmp_path: Path) -> None:
    """That nothing was asked for above is not because nothing was tried."""
    with listening() as (url, asked):
        page = html.render_page(build_report("flight-delay", good(), FACTS, (EmbeddedPage("Drift", forged(url), runs_scripts=True),)))
        shown = opened(tmp_path, re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page))
    assert title(shown).startswith("🟢 flight-delay: every metric is within its margin")
    assert {"/fetch", "/image", "/img", "/inner", "/location"} <= set(asked)
    assert not {"/top", "/open", "/form"} & set(asked)


def test_hostile_names_stay_text_beside_pages(tmp_path: Path) -> None:
    with listening() as (url, asked):
        for attack in ATTACKS:
            pages = (EmbeddedPage("Drift", f"<p>{attack}<img src='{url}/x'>", runs_scripts=True),)
            page = html.render_page(build_report("flight-delay", hostile(attack), FACTS, pages))
            assert title(opened(tmp_path, page)) != "owned"
    assert asked == []
