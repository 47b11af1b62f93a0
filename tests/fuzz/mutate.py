"""Broken documents: valid ones with a few things wrong in them, as people, programs and attackers get them wrong."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

_VALUES: tuple[str, ...] = (
    "null", "true", "no", "~", "''", '""', "[]", "{}", "- x", "nan", ".nan", "NaN", "-Infinity", ".inf", "1e999", "-1e-999",
    "0x1f", "0o17",
    "1_000", "12:30:45", "2026-02-30", "2026-02-28T25:61:00Z", "9" * 400, "9" * 5000, "0x" + "f" * 5000, "1." + "0" * 5000,
    "-0", "+1", "01",
    "!!python/object:os.system x", "!!binary aGk=", "!!set {a, b}", "!!timestamp x", "!!int x", "!!float x", "!!omap [a: 1]",
    "!x y", "&a [*a]",
    "*missing", "<<: *a", "? [complex, key]\n: value", "{a: 1}: 2", "|\n  text\n", ">-\n  text", "%YAML 1.1", "---", "...",
    "@x", "`x`",
    "champion", "git:", "file:../../etc/passwd", "1%", "-1%", "1e400%", "0.5", "50MB", "1e3MB", "9" * 400 + "GiB", "2h",
    "\ud83d", "\u202e",
    "${{ x }}", "é" * 300, "x" * 20_000, "a.b.c", "a[0]", "a]`.b", "`", "\\", "\"", "'", "\x00", "\x85", "\u2028", "\ufeff",
)  # fmt: skip

_RUNS: tuple[str, ...] = (
    "!", "!!", "%41", "a", "a b ", "é", " ", "\t", "\n", " a\n", " a\n\n", "#", "#\n", "'", '"', '\\n', "&a ", "*a ", "- ", "? ",
    ": ", "a: ", ",", "a,", "[", "]", "{", "[]", "{}", "1", "1_", "1:", "0x1", "1.", "e", "<<: ", "[[a]]\n", "a.", "a = 1\n",
    "\\u00e9", "---\n", "%TAG ! ", "|\n a\n", "\"\",", "\x00",
)  # fmt: skip
"""What is short, and slow where a parser's time grows with its square."""
LARGEST = 270_000
"""Bytes: a little more than documents that people write may have."""


class Mutator:
    """Breaks documents. The same seed gives the same cases.

    Args:
        seeds: valid documents.
        tokens: words that the format knows, for the parts that random bytes never find.
    """

    def __init__(self, seed: int, seeds: Sequence[bytes], tokens: Sequence[str]) -> None:
        self._dice = random.Random(seed)
        self._seeds = seeds
        self._tokens = [*tokens, *_VALUES]

    def case(self) -> bytes:
        """The next document: a seed, broken at up to four places."""
        raw = self._dice.choice(self._seeds)
        ways: tuple[Callable[[bytes], bytes], ...] = (
            self._flip, self._cut, self._repeat, self._insert, self._replace_value, self._replace_value, self._replace_value,
            self._splice,
            self._duplicate_line, self._drop_line, self._swap_lines, self._indent,
        )  # fmt: skip
        if self._dice.random() < 0.03:
            raw = self._whole(raw)
        for _ in range(self._dice.choice((1, 1, 1, 2, 2, 3, 4))):
            raw = self._dice.choice(ways)(raw)
        return raw[:LARGEST]

    def _at(self, raw: bytes) -> int:
        return self._dice.randrange(len(raw) + 1)

    def _token(self) -> bytes:
        return self._dice.choice(self._tokens).encode("utf-8", "surrogatepass")

    def _flip(self, raw: bytes) -> bytes:
        broken = bytearray(raw)
        for _ in range(self._dice.choice((1, 1, 2, 8))):
            if broken:
                broken[self._dice.randrange(len(broken))] = self._dice.randrange(256)
        return bytes(broken)

    def _cut(self, raw: bytes) -> bytes:
        start, end = sorted((self._at(raw), self._at(raw)))
        return raw[:start] + raw[end:] if self._dice.random() < 0.5 else raw[:end]

    def _repeat(self, raw: bytes) -> bytes:
        start = self._at(raw)
        part = raw[start : start + self._dice.choice((1, 2, 8, 40))]
        return raw[:start] + part * self._dice.choice((2, 3, 50, 1500)) + raw[start:]

    def _insert(self, raw: bytes) -> bytes:
        at = self._at(raw)
        return raw[:at] + self._token() + raw[at:]

    def _replace_value(self, raw: bytes) -> bytes:
        """Another value behind a colon, a comma or a dash: the structure stays, what it holds does not."""
        places = [index + 1 for index, byte in enumerate(raw[:20_000]) if byte in b":,-[{="]
        if not places:
            return self._insert(raw)
        at = self._dice.choice(places)
        end = min((found for found in (raw.find(mark, at) for mark in (b"\n", b",", b"}", b"]")) if found >= 0), default=len(raw))
        return raw[:at] + b" " + self._token() + raw[end:]

    def _splice(self, raw: bytes) -> bytes:
        other = self._dice.choice(self._seeds)
        return raw[: self._at(raw)] + other[self._at(other) :]

    def _lines(self, raw: bytes, change: Callable[[list[bytes], int], None]) -> bytes:
        lines = raw.split(b"\n")
        change(lines, self._dice.randrange(len(lines)))
        return b"\n".join(lines)

    def _duplicate_line(self, raw: bytes) -> bytes:
        return self._lines(raw, lambda lines, at: lines.insert(at, lines[at]))

    def _drop_line(self, raw: bytes) -> bytes:
        return self._lines(raw, lambda lines, at: lines.__delitem__(at))

    def _swap_lines(self, raw: bytes) -> bytes:
        return self._lines(raw, lambda lines, at: lines.insert(self._dice.randrange(len(lines)), lines.pop(at)))

    def _indent(self, raw: bytes) -> bytes:
        return self._lines(raw, lambda lines, at: lines.__setitem__(at, b" " * self._dice.choice((1, 2, 7)) + lines[at]))

    def _whole(self, raw: bytes) -> bytes:
        """Something else altogether."""
        depth = self._dice.choice((10, 99, 101, 500, 3000, 20_000))
        bomb = "a: &a0 [x, x]\n" + "".join(f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
        merged = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n}\n  <<: [*a{n - 1}, *a{n - 1}]\n  k{n}: 1\n" for n in range(1, 25))
        return self._dice.choice(
            (
                b"", b" ", b"\n\n", b"\x00", b"null", b"[]", b"{}", b"0", b'""', self._dice.randbytes(200),
                b"[" * depth, b"[" * depth + b"]" * depth, b'{"a":' * depth, b'{"a":' * depth + b"1" + b"}" * depth,
                b"- " * depth, b"a: " * depth,
                b"\n".join(b" " * n + b"a:" for n in range(min(depth, 500))), bomb.encode(), merged.encode(),
                b"[" + b",".join([b"1"] * depth) + b"]", b"{" + b",".join(b'"%d": 1' % n for n in range(depth)) + b"}",
                b"\n".join(b"k%d: 1" % n for n in range(min(depth, 3000))),
                b"\xef\xbb\xbf" + raw, b"\xff\xfe" + raw.decode("utf-8", "replace").encode("utf-16-le"), raw.decode("utf-8",
                "replace").encode("utf-16"),
                raw.decode("utf-8", "replace").encode("latin-1", "replace"), raw.replace(b"\n", b"\r\n"), raw.replace(b"\n",
                b"\r"), raw.replace(b" ", b"\t"),
                raw * 20, self._run(raw), self._run(raw), self._run(raw),
            )
        )  # fmt: skip

    def _run(self, raw: bytes) -> bytes:
        """One thing over and over, behind what begins as it should or behind nothing."""
        part = self._dice.choice(_RUNS).encode()
        before = raw[: self._at(raw)] + self._dice.choice((b"", b"", b"x: ", b'"', b"'", b"[", b"# ", b"!", b"&", b"|\n"))
        return (b"" if self._dice.random() < 0.2 else before) + part * (self._dice.choice((1_000, 30_000, LARGEST)) // len(part))


def as_json(value: Any) -> bytes:
    """A seed from plain data."""
    return json.dumps(value, indent=1).encode()
