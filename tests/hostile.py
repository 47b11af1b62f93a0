"""What somebody may write who means harm: names, and whole records that the schema accepts. From a seed, so that a finding stays."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import inspect

from modelship.core.records import RECORDS, AnyRecord

ATTACKS = (
    "@octocat",
    "@acme/reviewers",
    "(@octocat)",
    "x@octocat",
    "mail me@example.com",
    "fixes #1, GH-12, gh-7",
    "acme/flights#3",
    "acme#4",
    "deadbee1, 0a1b2c3d4e5f60718293a4b5c6d7e8f900112233",
    "acme/flights@0a1b2c3d4e5f60718293a4b5c6d7e8f900112233",
    "defaced 12345678",
    "[click](https://evil.example)",
    "[click][x]\n\n[x]: https://evil.example",
    "![x](https://evil.example/x.png)",
    "<https://evil.example>",
    "<me@example.com>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<script>alert(1)</script>",
    "<a href='javascript:alert(1)'>x</a>",
    "</summary></details><h1>passed</h1>",
    "</td></tr></table><h1>passed</h1>",
    "</code></pre>",
    "<!-- modelship:flight-delay -->",
    "\n\n<!-- modelship:flight-delay -->\n",
    "-->",
    "<!--",
    "<![CDATA[",
    "<?php",
    "<!DOCTYPE html>",
    "https://evil.example",
    "http://evil.example/(x)",
    "www.evil.example",
    "WWW.evil.example",
    "ftp://evil.example mailto:me@example.com xmpp:me@example.com",
    "javascript:alert(1)",
    "a | b \\| c",
    "|",
    "\\",
    "\\|",
    "||||",
    "| -- | -- |\n| a | b |",
    "one\ntwo\r\n\nthree",
    "\n",
    "\n\n# heading\n\n",
    "`code` ``` fence",
    "`",
    "``",
    "```\n</details>\n```",
    "~~~",
    "# heading",
    "- item",
    "- [x] done",
    "+ item",
    "1. item",
    "1)",
    "---",
    "===",
    "> quote",
    "> [!WARNING]",
    "    code",
    "\tcode",
    "*a* **b** _c_ __d__ ~~e~~ $x$ $$y$$ $`z`$",
    "*",
    "_",
    "**",
    "&lt;b&gt; &#64;octocat &commat;octocat &amp; &#x40;octocat",
    "&",
    "&#",
    ":green_circle: pass",
    ":+1:",
    "\\*",
    "[^1]",
    "[^1]: a footnote",
    "[x]: https://evil.example",
    "\u202egnp.exe\u202c",
    "\u2066isolated\u2069\u200f",
    "@\u200boctocat",
    "<\u200b!-- modelship:flight-delay --\u200b>",
    "#\u00ad1",
    "zero\u200bwidth \x1b[31mred\x1b[0m \x00",
    "\x00\x08\x7f\x9b",
    "\ufeff",
    "\u2028\u2029\x85",
    "\ud800",
    "\udfff@octocat",
    "\U000e0041\U000e0042",
    "a" + "\u0300" * 300,
    "\u0489" * 90,
    "\u3164",
    "\u2800",
    "＠octocat ＃1 ＜b＞ ｜",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "::error::forged",
    "##[error]forged",
    "::set-output name=verdict::pass",
    "%0A::error::forged",
    "verdict=pass\nforged<<EOF",
    "${{ secrets.TOKEN }}",
    "$(touch pwned) `touch pwned` ; touch pwned",
    "{{ 7 * 7 }} {% raw %}",
    "../../../etc/passwd",
    "=cmd|'/c calc'!A1",
    "null",
    "true",
    "",
    " ",
    "roc_auc",
    "carrier=EV",
)


def names(seed: int) -> Callable[[], str]:
    """A source of adversarial names: attacks alone, side by side, within words, at the place where text is cut, and very long."""
    dice = random.Random(seed)

    def one() -> str:
        return dice.choice(ATTACKS)

    def scrambled() -> str:
        return "".join(dice.choices("ab1 \n\t|`*_~<>[]()!#@:/\\&;$^-=+.{}\"'%w", k=dice.randint(1, 60)))

    def any_characters() -> str:
        return "".join(chr(dice.choice((dice.randrange(0x250), dice.randrange(0x3000), dice.randrange(0x110000)))) for _ in range(30))

    shapes: tuple[Callable[[], str], ...] = (
        one,
        one,
        lambda: one() + one(),
        lambda: dice.choice((" ", "\n", "|", "a", "1", "\\", "&", "_")).join((one(), one(), one())),
        lambda: f"{dice.choice('a1_.-')}{one()}{dice.choice('a1_.-')}",
        lambda: "x" * (dice.choice((20, 40, 80, 100, 120, 160, 200, 250, 300, 400, 600)) - dice.randint(0, 12)) + one(),
        lambda: one() * dice.randint(2, 40),
        scrambled,
        scrambled,
        any_characters,
    )
    return lambda: dice.choice(shapes)()[:1500]


_NUMBERS = (0.0, 1.0, -1.0, 0.5, -0.0211, 0.7437, 100.0, 1e-12, -1e300, 1.7e308, 123456.789)
_TIMES = (datetime.min, datetime(1970, 1, 1), datetime(2026, 11, 27, 9, 30, 0, 5), datetime.max)
_INTEGERS = (0, 1, 2, 7, -1, 5000, 2**31, 2**63 - 1)


class Forger:
    """Writes records that say what their schema allows: each text is a name from `name`, each outermost list `lengths` long."""

    def __init__(self, seed: int, name: Callable[[], str], lengths: Sequence[int] = (0, 1, 1, 2, 3)) -> None:
        self._dice = random.Random(seed)
        self._source = name
        self._lengths = lengths
        self._depth = 0
        #: How many names were placed.
        self.placed = 0
        #: Which texts were written so far, as `(class, field)`.
        self.reached: set[tuple[str, str]] = set()

    def name(self) -> str:
        """The next name."""
        self.placed += 1
        return self._source()

    def part(self, command: str, field: str) -> Any:
        """What a record of `command` may have in that field, and not None."""
        kind = inspect.type_info(RECORDS[command])
        assert isinstance(kind, inspect.StructType)
        found = None
        while found is None:
            found = self._value(next(one.type for one in kind.fields if one.name == field))
        return found

    def record(self, command: str, **fixed: Any) -> AnyRecord:
        """A record of `command`; `fixed` are fields that are not made up."""
        kind = inspect.type_info(RECORDS[command])
        assert isinstance(kind, inspect.StructType)
        found: AnyRecord = msgspec.structs.replace(self._struct(kind), **fixed)
        return found

    def records(self, commands: tuple[str, ...], commit: str) -> dict[str, Any]:
        """What the commands of one run left behind."""
        return {command: self.record(command, commit=commit) for command in commands}

    def _struct(self, kind: inspect.StructType) -> Any:
        values = {}
        for field in kind.fields:
            if holds_text(field.type):
                self.reached.add((kind.cls.__name__, field.name))
            values[field.name] = self._value(field.type)
        return kind.cls(**values)

    def _many(self, one: Callable[[], Any]) -> list[Any]:
        self._depth += 1
        found = [one() for _ in range(self._dice.choice(self._lengths if self._depth == 1 else (0, 1, 1, 2, 3)))]
        self._depth -= 1
        return found

    def _value(self, kind: inspect.Type) -> Any:
        match kind:
            case inspect.StrType(pattern=str()):
                return "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334"
            case inspect.StrType():
                return self.name()
            case inspect.BoolType():
                return self._dice.random() < 0.5
            case inspect.IntType():
                return self._dice.choice(_INTEGERS)
            case inspect.FloatType():
                return self._dice.choice(_NUMBERS)
            case inspect.DateTimeType():
                return self._dice.choice(_TIMES).replace(tzinfo=UTC)
            case inspect.NoneType():
                return None
            case inspect.LiteralType(values=values):
                return self._dice.choice(values)
            case inspect.UnionType(types=types):
                # What is not there cannot do harm.
                return self._value(
                    self._dice.choice([one for one in types if not isinstance(one, inspect.NoneType)] * 4 + list(types))
                )
            case inspect.VarTupleType(item_type=item):
                return tuple(self._many(lambda: self._value(item)))
            case inspect.TupleType(item_types=items):
                return tuple(self._value(item) for item in items)
            case inspect.DictType(key_type=key, value_type=value):
                return dict(self._many(lambda: (self._value(key), self._value(value))))
            case inspect.StructType():
                return self._struct(kind)
        raise TypeError(f"records hold {kind}, and nobody knows how to forge one")


def texts_of(kind: inspect.Type) -> set[tuple[str, str]]:
    """The places for text in a type, and in those that it is made of, as `(class, field)`."""
    match kind:
        case inspect.StructType(cls=cls, fields=fields):
            own = {(cls.__name__, field.name) for field in fields if holds_text(field.type)}
            return own.union(*(texts_of(field.type) for field in fields))
        case inspect.UnionType(types=parts) | inspect.TupleType(item_types=parts):
            return set[tuple[str, str]]().union(*map(texts_of, parts))
        case inspect.VarTupleType(item_type=item) | inspect.DictType(value_type=item):
            return texts_of(item)
    return set()


def holds_text(kind: inspect.Type) -> bool:
    """Whether a value of the type can be, or hold, text of any kind without a record around it."""
    match kind:
        case inspect.StrType(pattern=pattern):
            return pattern is None
        case inspect.UnionType(types=types):
            return any(map(holds_text, types))
        case inspect.VarTupleType(item_type=item):
            return holds_text(item)
        case inspect.TupleType(item_types=items):
            return any(map(holds_text, items))
        case inspect.DictType(key_type=key, value_type=value):
            return holds_text(key) or holds_text(value)
    return False
