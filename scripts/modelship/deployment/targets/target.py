"""What a target must do, and how one is found by its name in `modelship.yaml`: through the entry points `modelship.targets`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from modelship.core.errors import bad_input, did_you_mean
from modelship.core.words import clean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@dataclass(frozen=True)
class Release:
    """A registered version, fetched and found to be what was registered."""

    model: str
    """The registered model's name."""
    version: int
    digest: str
    """`sha256:…` of the model folder."""
    folder: Path
    """The MLflow model folder; it goes with the process."""


@dataclass(frozen=True)
class Serving:
    """How a version that serves can be asked."""

    url: str = ""
    """Answers `POST /invocations` and `GET /ping`; empty where nothing answers over HTTP."""
    folder: Path | None = None
    """Else the model folder as the target holds it, to be loaded and asked."""


@dataclass(frozen=True)
class Place:
    """Where a target is."""

    directory: Path
    """Of modelship.yaml; paths are relative to it."""
    environment: str
    model: str
    """The registered model's name."""
    python: str
    """The team's interpreter."""


class Target(Protocol):
    """A place where one version serves at a time."""

    def serve(self, release: Release) -> Serving:
        """Let the environment serve `release`, and return when it does.

        Repeating it changes nothing; one that was killed anywhere is finished by repeating it. Raises InfrastructureError where it
        does not come to serve.
        """

    def serving(self) -> tuple[int, str] | None:
        """Version and digest that the target itself says it serves, `NOTHING` for none; None where it cannot tell."""

    def clear(self) -> None:
        """Serve nothing: the first deployment failed, and there is nothing to go back to."""


NOTHING = (0, "")
"""What a target says that serves no version, or none that it knows."""

ENTRY_POINTS = "modelship.targets"
"""The group of entry points. Each has the name that `modelship.yaml` uses, and is a function of settings and place to a target."""

_PYPROJECT = Path(__file__).parents[4] / "pyproject.toml"


def open_target(kind: str, settings: Any, place: Place) -> Target:
    """The target of that kind. Raises BadInput for a kind that nothing offers, and for settings that it does not know."""
    known = _offered()
    if kind not in known:
        raise bad_input(
            f"`deploy.environments.{place.environment}.target` is `{clean(kind, 100)}`, which is no kind of target.",
            did_you_mean(kind, known),
        )
    opened: Target = known[kind].load()(settings, place)
    return opened


def _offered() -> dict[str, EntryPoint]:
    """Every kind of target that this Python has; no other package takes the name of one of ours."""
    from importlib.metadata import EntryPoint, entry_points

    installed = {point.name: point for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.value)}
    own = {name: point for name, point in installed.items() if point.value.startswith("modelship.")}
    if not own:
        # An action runs this package from its checkout, where nothing is installed.
        import tomllib

        declared = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["project"]["entry-points"][ENTRY_POINTS]
        own = {name: EntryPoint(name, value, ENTRY_POINTS) for name, value in declared.items()}
    return {**installed, **own}
