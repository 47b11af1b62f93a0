"""Read JSON, YAML and TOML strictly, and remember on which line each value stands.

Strict means: duplicate keys, a byte order mark, another encoding than UTF-8 and a truncated file are errors, never guesses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from modelship.core.errors import BadInput, bad_input

MAX_BYTES = 4 * 1024 * 1024
"""Parameters, metrics and expectations are small; a larger file is a mistake or an attack."""

MAX_BYTES_BY_HAND = 256 * 1024
"""Of YAML and TOML, which take up to 5 s for each MiB to read, and of what people write."""

MAX_VALUES = 10_000
"""In YAML, which takes 0.1 ms each to read. Keys count, and aliases as often as they are used."""

MAX_BYTES_BY_MACHINE = 8 * 1024 * 1024
MAX_VALUES_BY_MACHINE = 500_000
"""In YAML that a program writes of many files, as `dvc.lock`."""

_DEEPEST = 100
_LONG_TAG = re.compile(r"![^\s'\"]{1000}")
"""In YAML, which takes time for it that grows with the square."""
_LONGEST_NUMBER = 400
"""Characters: no float has more digits before its point, and Python does not write out what has more than 4,300."""

Path_ = tuple[str | int, ...]


class Document(msgspec.Struct, frozen=True):
    """Plain data (dict, list, scalars) and the line on which each key path stands (YAML only)."""

    name: str
    data: Any
    lines: dict[Path_, int] = {}

    def line(self, key_path: Path_) -> int | None:
        """The 1-based line of `key_path`, or of its nearest parent that has one."""
        while key_path not in self.lines:
            if not key_path:
                return None
            key_path = key_path[:-1]
        return self.lines[key_path]


def read_document(path: Path, name: str | None = None, *, most_bytes: int | None = None) -> Document:
    """Read the file at `path`; the suffix decides the format (`.json`, `.yaml`/`.yml`, `.toml`).

    It may have `most_bytes`; without it as many as such a format may have. Raises BadInput when the file is missing, too large or not
    what its suffix says.
    """
    name = name or str(path)
    try:
        with path.open("rb") as file:
            raw = file.read((most_bytes or MAX_BYTES) + 1)
    except FileNotFoundError:
        raise bad_input("does not exist.", path=name) from None
    except OSError as error:
        raise bad_input(f"cannot be read: {error.strerror}.", path=name) from None
    return parse_document(raw, name, most_bytes=most_bytes)


def parse_document(raw: bytes, name: str, *, most_bytes: int | None = None, most_values: int = MAX_VALUES) -> Document:
    """Parse `raw` as the format that the suffix of `name` says. YAML may hold `most_values`. Raises BadInput as `read_document`."""
    suffix = Path(name).suffix.lower()
    most_bytes = most_bytes or (MAX_BYTES if suffix == ".json" else MAX_BYTES_BY_HAND)
    if len(raw) > most_bytes:
        remedy = "JSON may be larger." if most_bytes < MAX_BYTES and suffix != ".json" else ""
        raise bad_input(f"is larger than {most_bytes // 1024:,} KiB.", remedy, path=name)
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise bad_input("starts with a byte order mark.", "Save it as UTF-8 without one.", path=name, line=1)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise bad_input("is not UTF-8.", "Save it as UTF-8.", path=name, line=line) from None
    if not text.strip():
        raise bad_input("is empty.", path=name)
    if suffix == ".json":
        return _parse_json(text, name)
    if suffix in (".yaml", ".yml"):
        return _parse_yaml(text, name, most_values)
    if suffix == ".toml":
        return _parse_toml(text, name)
    raise bad_input(f"has the suffix `{suffix}`.", "Use .json, .yaml, .yml or .toml.", path=name)


def flatten(data: Any, *, lists: bool = True) -> dict[str, Any]:
    """Leaves of nested data by dotted key: `{"a": {"b": [1]}}` becomes `{"a.b.0": 1}`, with `lists=False` `{"a.b": [1]}`.

    Raises BadInput when two leaves get the same name.
    """

    def leaves(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
        if isinstance(value, dict):
            for key, child in value.items():
                yield from leaves(child, f"{prefix}.{key}" if prefix else str(key))
        elif isinstance(value, list) and lists:
            for index, child in enumerate(value):
                yield from leaves(child, f"{prefix}.{index}" if prefix else str(index))
        else:
            yield prefix, value

    result: dict[str, Any] = {}
    for name, value in leaves(data, ""):
        if name in result:
            raise bad_input(f"`{name}` is there twice: once nested and once with the dot in its name.", "Keep one of them.")
        result[name] = value
    return result


class _DuplicateKeyError(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise _DuplicateKeyError(key)
        result[key] = value
    return result


def _parse_json(text: str, name: str) -> Document:
    try:
        # NaN and Infinity are not JSON, but Python's and NumPy's writers put them there: kept, so that the gate can name them.
        data = json.loads(text, object_pairs_hook=_unique)
        json.dumps(data, ensure_ascii=False).encode()
        return Document(name, data)
    except UnicodeEncodeError:
        raise _half_a_character(name) from None
    except _DuplicateKeyError as error:
        raise bad_input(f"has the key `{error}` twice.", "Keep one of them.", path=name) from None
    except json.JSONDecodeError as error:
        reason = "ends too early" if error.pos >= len(text.rstrip()) else f"is not valid JSON ({error.msg})"
        raise bad_input(f"{reason}.", "Was it written completely?", path=name, line=error.lineno) from None
    except RecursionError:
        raise bad_input("is nested too deeply.", path=name) from None
    except ValueError as error:
        raise bad_input(f"cannot be read: {error}.", path=name) from None


def _parse_toml(text: str, name: str) -> Document:
    import tomllib

    try:
        data = tomllib.loads(text)
        str(data)  # Hexadecimal numbers may be so long that Python does not write them out.
        return Document(name, data)
    except ValueError as error:
        raise bad_input(f"is not valid TOML: {error}.", path=name) from None
    except RecursionError:
        raise bad_input("is nested too deeply.", path=name) from None


def _parse_yaml(text: str, name: str, most_values: int) -> Document:
    # YAML 1.2 on purpose: PyYAML's 1.1 reads `1e-3` as a string and `no` as a boolean.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent, NodeEvent
    from ruamel.yaml.parser import Parser

    class CountingParser(Parser):
        """Stops before the time that reading takes grows with the square of the depth."""

        values, depth = 0, 0

        def get_event(self) -> Any:
            event = super().get_event()
            self.values += isinstance(event, NodeEvent)
            self.depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if self.values > most_values or self.depth > _DEEPEST:
                raise _too_many(name)
            return event

    if _LONG_TAG.search(text):
        raise bad_input("holds a tag (`!`) of more than 1,000 characters.", path=name)
    yaml = YAML(typ="safe", pure=True)
    yaml.Parser = CountingParser
    try:
        # Its own constructor, asked for a key that is there twice, writes out both values: a few nested aliases never end.
        root = yaml.compose(text)
        return _YamlReader(name, yaml.constructor, most_values).document(root)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise bad_input(f"is not valid YAML: {error.problem}.", path=name, line=line) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise bad_input(f"is not valid YAML: {(str(error).splitlines() or [type(error).__name__])[0]}.", path=name) from None


class _YamlReader:
    """Plain data from YAML's nodes, which know their lines. A budget stops aliases that expand without end."""

    def __init__(self, name: str, constructor: Any, most_values: int) -> None:
        self._name = name
        self._lines: dict[Path_, int] = {}
        self._left = most_values
        self._scalars = {
            "tag:yaml.org,2002:bool": constructor.construct_yaml_bool,
            "tag:yaml.org,2002:int": constructor.construct_yaml_int,
            "tag:yaml.org,2002:float": constructor.construct_yaml_float,
            "tag:yaml.org,2002:null": lambda _: None,
        }

    def document(self, root: Any) -> Document:
        """The data under the root node with their lines."""
        return Document(self._name, None if root is None else self._value(root, ()), self._lines)

    def _value(self, node: Any, at: Path_) -> Any:
        self._left -= 1
        if self._left < 0 or len(at) > _DEEPEST:
            raise _too_many(self._name)
        match node.id:
            case "mapping":
                return self._mapping(node, at)
            case "sequence":
                return [self._value(one, (*at, index)) for index, one in enumerate(node.value)]
        read = self._scalars.get(str(node.tag))
        if read and len(node.value) > _LONGEST_NUMBER:
            raise bad_input(f"holds a number of {len(node.value):,} digits.", path=self._name, line=node.start_mark.line + 1)
        if not read:
            # What is tagged otherwise, such as a date, stays text.
            return _whole(node.value, self._name)
        try:
            return read(node)
        except (ValueError, LookupError):
            # Only a tag that somebody wrote can be wrong.
            kind = str(node.tag).rpartition(":")[2]
            raise bad_input(f"holds a `!!{kind}` that is none.", path=self._name, line=node.start_mark.line + 1) from None

    def _mapping(self, node: Any, at: Path_) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        self._left -= len(node.value)
        for key, value in node.value:
            if str(key.tag) == "tag:yaml.org,2002:merge":
                for one in value.value if value.id == "sequence" else (value,):
                    found = self._value(one, at)
                    if not isinstance(found, dict):
                        raise bad_input("merges (`<<`) what is no mapping.", path=self._name, line=key.start_mark.line + 1)
                    merged = {**found, **merged}
                continue
            if key.id != "scalar":
                raise bad_input("has a key that is no text.", path=self._name, line=key.start_mark.line + 1)
            text = _whole(key.value, self._name)
            if text in result:
                raise bad_input(f"has the key `{text}` twice.", "Keep one of them.", path=self._name, line=key.start_mark.line + 1)
            self._lines[(*at, text)] = key.start_mark.line + 1
            result[text] = self._value(value, (*at, text))
        return {**merged, **result}


def _too_many(name: str) -> BadInput:
    return bad_input("holds too many values (aliases?), or is nested too deeply.", "JSON may hold more.", path=name)


def _whole(text: str, name: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _half_a_character(name) from None
    return text


def _half_a_character(name: str) -> BadInput:
    return bad_input("holds half a character (a lone UTF-16 surrogate).", "Save it as UTF-8.", path=name)


_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./=+@%-]*( [A-Za-z0-9_./=+@%&|>-]+)*")
_RESERVED = {"true", "false", "null", "yes", "no", "on", "off", "y", "n", ".inf", ".nan", "~"}


def scalar(text: str) -> str:
    """`text` as a YAML scalar, on one line, that any YAML 1.1 or 1.2 parser reads back as this text."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _RESERVED and not re.match(r"\.\d", text)
    return text if plain else '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
