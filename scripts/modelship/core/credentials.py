"""Credentials as one secret holds them: lines `NAME=VALUE`, which become variables of the one process that needs them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from modelship.core import workflow
from modelship.core.errors import bad_input

STORAGE = ("AWS_", "AZURE_", "GOOGLE_")
"""How the names begin that cloud storage libraries read."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


_SECRETS = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|WEBHOOK|(?:^|_)KEY(?:_|$)|APIKEY|^MLFLOW_TRACKING_", re.IGNORECASE)
_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s:@]*:([^/?#\s@]+)@")
_SHORTEST_SECRET = 6


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables less those whose names say that they let somebody in somewhere: a process that runs a model has no use for them."""
    return {name: value for name, value in environ.items() if not _is_secret(name)}


def masked(text: str, environ: Mapping[str, str]) -> str:
    """`text` without the values of such variables and the passwords in addresses, save those too short to tell from another word."""
    values = {value.strip() for name, value in environ.items() if _is_secret(name)}
    values |= {password for value in environ.values() for password in _passwords(value)}
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, "***")
    return text


def _passwords(value: str) -> set[str]:
    """The password in an address, as `postgresql://team:password@host/`, as it is written and as it is meant."""
    found = _PASSWORD.match(value.strip())
    return {found[1], unquote(found[1])} if found else set()


def _is_secret(name: str) -> bool:
    return name.startswith(STORAGE) or bool(_SECRETS.search(name))


def read_credentials(text: str, *, prefixes: tuple[str, ...] = STORAGE) -> dict[str, str]:
    """Variables from lines `NAME=VALUE`; only names that begin with one of `prefixes` are taken. Raises BadInput.

    The runner knows the secret as a whole and by its lines, but not the values in them: they are masked here, save those too short
    to tell from any other word.
    """
    credentials: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, separator, value = line.strip().partition("=")
        if not separator or not _NAME.fullmatch(name) or not name.startswith(prefixes):
            allowed = ", ".join(f"{prefix}…" for prefix in prefixes if prefix)
            raise bad_input(
                f"line {number} of `credentials` is not `NAME=VALUE`" + (f" with a name of {allowed}." if allowed else ".")
            )
        if len(value) >= _SHORTEST_SECRET:
            workflow.mask(value)
        credentials[name] = value
    return credentials
