"""Private environments: the toolkit's heavy libraries live in locked environments of their own, one for each capability.

A command that needs one either finds the library beside itself (`pip install 'modelship[…]'`) or runs itself again in the
capability's environment, which the launcher `scripts/run` makes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from modelship.core.errors import bad_input, infrastructure

_DATA = ("great_expectations", "pyarrow")
_SQL = ("psycopg", "sqlalchemy", "pyarrow")
_REGISTER = ("mlflow", "skops")

MODULES = {
    "data": _DATA,
    "data-sql": (*_DATA, *_SQL),
    "deploy-s3": (*_REGISTER, "botocore"),
    "drift": ("evidently", "pyarrow"),
    "dvc": ("dvc",),
    "dvc-azure": ("dvc_azure",),
    "dvc-gs": ("dvc_gs",),
    "dvc-s3": ("dvc_s3",),
    "dvc-ssh": ("dvc_ssh",),
    "gate": ("pyarrow",),
    "github": ("github",),
    "openmetrics": ("prometheus_client",),
    "register": _REGISTER,
    "registry": ("mlflow",),
    "signing": ("model_signing",),
    "spark": (*_DATA, "pyspark"),
    "sql": _SQL,
}
"""The modules that tell whether a capability is at hand. One that another capability has, too, says nothing by itself."""

_PACKAGE = Path(__file__).resolve().parent.parent
_MARK = "MODELSHIP_ENVIRONMENT"


def is_at_hand(capability: str) -> bool:
    """Whether this interpreter has the capability's libraries."""
    return not _lacking(capability)


def _lacking(capability: str) -> list[str]:
    from importlib.util import find_spec

    return [name for name in dict.fromkeys(MODULES[capability]) if find_spec(name) is None]


def need(capability: str) -> None:
    """Go on in an environment that has the capability: here, or by running this command again in another interpreter."""
    lacking = _lacking(capability)
    if not lacking:
        return
    if os.environ.get(_MARK) == capability:
        raise infrastructure(f"the environment for `{capability}` lacks `{lacking[0]}`.", "Delete it and try again.")
    _run_again(interpreter(capability), capability)


def interpreter(capability: str) -> str:
    """The path of a Python that has the capability. Raises InfrastructureError when its environment cannot be made."""
    lacking = _lacking(capability)
    if not lacking:
        return sys.executable
    launcher = _PACKAGE.parent / "run"
    if not launcher.exists():
        raise bad_input(f"this needs {' and '.join(lacking)}.", f"Install it: pip install 'modelship[{capability}]'")
    result = subprocess.run([launcher, "--prepare", capability], stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        raise infrastructure(f"the environment for `{capability}` could not be made; see above.")
    return result.stdout.strip()


def _run_again(python: str, capability: str) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(python, [python, "-I", str(_PACKAGE), *sys.argv[1:]], {**os.environ, _MARK: capability})
