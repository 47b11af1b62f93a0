"""What a team writes about one target, read as strictly as the rest of `modelship.yaml`."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from modelship.core.errors import BadInput, bad_input, did_you_mean
from modelship.core.words import clean

_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")
_AT = re.compile(r" - at `\$(.*)`\Z")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Base of what a target takes. The description of a field is what an error tells to do."""


S = TypeVar("S", bound=Settings)


def read_settings(given: Any, kind: type[S], key: str, alone: str = "") -> S:
    """`given`, found at the dotted `key`, as `kind`; text by itself stands for the field `alone`.

    Raises BadInput that names the key and the nearest known name.
    """
    if alone and isinstance(given, str):
        given = {alone: given}
    try:
        return msgspec.convert({} if given is None else given, kind)
    except msgspec.ValidationError as error:
        raise _explained(str(error), kind, key) from None


def _explained(said: str, kind: type[Settings], key: str) -> BadInput:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    unknown, missing = _UNKNOWN.search(said), _MISSING.search(said)
    if unknown:
        return bad_input(f"unknown key `{key}.{clean(unknown[1], 100)}`.", did_you_mean(unknown[1], fields))
    if missing:
        return bad_input(f"the key `{key}.{missing[1]}` is missing.", _description(kind, missing[1]))
    at = _AT.search(said)
    path = at[1] if at else ""
    reason = said[: at.start()] if at else said
    return bad_input(f"`{key}{path}`: {reason[0].lower()}{reason[1:300]}.", _description(kind, path.strip(".")))


def _description(kind: type[Settings], name: str) -> str:
    """What the field's `Meta(description=…)` says; empty where there is no such field, or it says nothing."""
    properties = msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"]
    found = properties.get(name, {})
    return next((str(part["description"]) for part in (found, *found.get("anyOf", ())) if "description" in part), "")
