"""`modelship deploy`."""

from __future__ import annotations

from modelship.commands.deployment import deployment_command


@deployment_command("deploy", "The registered version, a number or an alias; what the environment before serves, else `challenger`.")
def command() -> None:
    """Let an environment serve a registered version; go back by itself where the version does not hold what it must.

    Exits with 1 where it did not hold, or where the order of environments, or a newer champion, forbids it.
    """
