"""`modelship rollback`."""

from __future__ import annotations

from modelship.commands.deployment import deployment_command


@deployment_command(
    "rollback", "The version to bring back, a number or an alias; the one that was good before the live one without it."
)
def command() -> None:
    """Bring the previous good version back to an environment."""
