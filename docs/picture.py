"""A picture of a comment as GitHub shows it, or of a report page: `python docs/picture.py comment.md comment.png`.

`--width 360` is a telephone, `--dark` a dark screen, `--unfold` shows what is folded. Needs Chromium. The style is a plain stand-in
for GitHub's own.
"""

from __future__ import annotations

import argparse
import html
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt

WIDTH = 900
STYLE = """
:root { --page: #fff; --ink: #1f2328; --soft: #59636e; --rule: #d1d9e0; --shade: #f6f8fa; --link: #0969da; }
:root.dark { --page: #0d1117; --ink: #f0f6fc; --soft: #9198a1; --rule: #3d444d; --shade: #151b23; --link: #4493f8;
  color-scheme: dark; }
body { margin: 16px; background: var(--page); color: var(--ink);
  font: 14px/1.5 -apple-system, "Segoe UI", "Noto Sans", "Liberation Sans", sans-serif, "Noto Color Emoji"; }
article { border: 1px solid var(--rule); border-radius: 6px; }
header { padding: 8px 16px; border-bottom: 1px solid var(--rule); border-radius: 6px 6px 0 0;
  background: var(--shade); color: var(--soft); }
header b { color: var(--ink); }
header i { padding: 0 6px; border: 1px solid var(--rule); border-radius: 10px; font-style: normal; font-size: 12px; }
main { padding: 16px 16px 0; overflow-wrap: break-word; }
h2 { margin: 0 0 16px; padding-bottom: .3em; border-bottom: 1px solid var(--rule); font-size: 1.5em; line-height: 1.25; }
p, blockquote, table, details, pre { margin: 0 0 16px; }
blockquote > :last-child { margin-bottom: 0; }
table { display: block; width: max-content; max-width: 100%; overflow: auto; border-collapse: collapse; }
th, td { padding: 6px 13px; border: 1px solid var(--rule); }
tr:nth-child(2n) td { background: var(--shade); }
code, pre { font-family: ui-monospace, "Liberation Mono", monospace; font-size: 85%; }
code { padding: .2em .4em; border-radius: 6px; background: #818b981f; }
pre { padding: 16px; border-radius: 6px; background: var(--shade); overflow: auto; line-height: 1.45; }
pre code { padding: 0; background: none; font-size: 100%; }
blockquote { padding: 0 1em; border-left: .25em solid var(--rule); color: var(--soft); }
ul { margin: 0; padding-left: 2em; }
a { color: var(--link); }
sub { position: relative; bottom: -.25em; font-size: 75%; vertical-align: baseline; }
"""
PAGE = """<!doctype html><html class="{theme}"><meta charset="utf-8"><style>{style}</style>
<article><header><b>github-actions</b> <i>bot</i> commented now</header><main>{content}</main></article>
"""
# A frame has any width, a window of Chromium's is never narrower than 500.
FRAME = """<!doctype html><meta charset="utf-8"><style>body {{ margin: 0 }} iframe {{ display: block; border: 0 }}</style>
<iframe width="{width}" height="100" srcdoc="{page}"></iframe>
<script>
document.querySelector("iframe").onload = ({{ target }}) => {{
  target.height = Math.ceil(target.contentDocument.documentElement.getBoundingClientRect().height) + 16;
  document.body.dataset.height = target.height;
}}
</script>"""


def take(source: Path, picture: Path, *, width: int = WIDTH, dark: bool = False, unfold: bool = False) -> None:
    """Render `source`, a comment in Markdown or a page in HTML, and write a PNG that is as high as it needs to be."""
    page = source.read_text(encoding="utf-8")
    if source.suffix != ".html":
        content = MarkdownIt("gfm-like", {"html": True}).render(page)
        page = PAGE.format(style=STYLE, content=content, theme="dark" if dark else "light")
    if unfold:
        page = page.replace("<details>", "<details open>")
    theme = ("--blink-settings=preferredColorScheme=0",) if dark else ("--blink-settings=preferredColorScheme=1",)
    with tempfile.TemporaryDirectory() as folder:
        frame = Path(folder) / "frame.html"
        frame.write_text(FRAME.format(width=width, page=html.escape(page)), encoding="utf-8")
        height = re.search(r'data-height="(\d+)"', browse(*theme, "--dump-dom", "--window-size=1000,100", frame.as_uri()))
        window = f"--window-size={width},{height[1] if height else 800}"
        browse(*theme, f"--screenshot={picture.absolute()}", window, frame.as_uri())


def browse(*arguments: str) -> str:
    """Run headless Chromium and return what it prints."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        sys.exit("Chromium is not installed.")
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=2")
    return subprocess.run([browser, *quiet, *arguments], check=True, capture_output=True, text=True, timeout=60).stdout


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A picture of a comment or a report page.")
    parser.add_argument("source", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--unfold", action="store_true")
    options = parser.parse_args()
    take(options.source, options.picture, width=options.width, dark=options.dark, unfold=options.unfold)
