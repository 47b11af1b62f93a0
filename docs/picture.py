"""A picture of a comment as GitHub shows it: `python docs/picture.py comment.md comment.png`.

Needs Chromium. The style is a plain stand-in for GitHub's own.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt

WIDTH = 900
STYLE = """
body { margin: 16px; background: #fff; color: #1f2328;
  font: 14px/1.5 -apple-system, "Segoe UI", "Noto Sans", "Liberation Sans", sans-serif, "Noto Color Emoji"; }
article { border: 1px solid #d1d9e0; border-radius: 6px; }
header { padding: 8px 16px; border-bottom: 1px solid #d1d9e0; border-radius: 6px 6px 0 0; background: #f6f8fa; color: #59636e; }
header b { color: #1f2328; }
header i { padding: 0 6px; border: 1px solid #d1d9e0; border-radius: 10px; font-style: normal; font-size: 12px; }
main { padding: 16px 16px 0; }
h2 { margin: 0 0 16px; padding-bottom: .3em; border-bottom: 1px solid #d1d9e0; font-size: 1.5em; line-height: 1.25; }
p, blockquote, table, details, pre { margin: 0 0 16px; }
table { display: block; width: max-content; max-width: 100%; overflow: auto; border-collapse: collapse; }
th, td { padding: 6px 13px; border: 1px solid #d1d9e0; }
tr:nth-child(2n) td { background: #f6f8fa; }
code, pre { font-family: ui-monospace, "Liberation Mono", monospace; font-size: 85%; }
code { padding: .2em .4em; border-radius: 6px; background: #818b981f; }
pre { padding: 16px; border-radius: 6px; background: #f6f8fa; overflow: auto; line-height: 1.45; }
pre code { padding: 0; background: none; font-size: 100%; }
blockquote { padding: 0 1em; border-left: .25em solid #d1d9e0; color: #59636e; }
a { color: #0969da; }
sub { position: relative; bottom: -.25em; font-size: 75%; vertical-align: baseline; }
"""
PAGE = """<!doctype html><meta charset="utf-8"><style>{style}</style>
<article><header><b>github-actions</b> <i>bot</i> commented now</header><main>{content}</main></article>
<script>document.body.dataset.height = Math.ceil(document.documentElement.getBoundingClientRect().height) + 16</script>
"""


def take(comment: Path, picture: Path) -> None:
    """Render the Markdown file `comment` and write a PNG that is as high as it needs to be."""
    content = MarkdownIt("gfm-like", {"html": True}).render(comment.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "comment.html"
        page.write_text(PAGE.format(style=STYLE, content=content), encoding="utf-8")
        height = re.search(r'data-height="(\d+)"', browse("--dump-dom", f"--window-size={WIDTH},100", page.as_uri()))
        browse(f"--screenshot={picture.absolute()}", f"--window-size={WIDTH},{height[1] if height else 800}", page.as_uri())


def browse(*arguments: str) -> str:
    """Run headless Chromium and return what it prints."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        sys.exit("Chromium is not installed.")
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=2")
    return subprocess.run([browser, *quiet, *arguments], check=True, capture_output=True, text=True, timeout=60).stdout


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]))
