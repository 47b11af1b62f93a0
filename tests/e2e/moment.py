"""A pull request as it stood after a run."""

from dataclasses import dataclass

from .act import Run
from .demo import CHECK
from .github import BOT, CheckRun, Comment, PullRequest
from .markdown import headline
from .world import World


@dataclass(frozen=True)
class Moment:
    """A pull request as it stood after a run: later runs change what the API says."""

    run: Run
    comments: list[Comment]
    checks: list[CheckRun]

    @property
    def ours(self) -> Comment:
        """The workflow's comment; there must be exactly one."""
        (comment,) = (comment for comment in self.comments if comment.author == BOT)
        return comment

    @property
    def check(self) -> CheckRun:
        """The check run of the head; there must be exactly one."""
        (check,) = (check for check in self.checks if check.name == CHECK)
        return check

    @property
    def headline(self) -> str:
        """The comment's first line."""
        return headline(self.ours.body)


def after(world: World, pull: PullRequest, run: Run) -> Moment:
    """Ask GitHub what there is now."""
    return Moment(run, world.comments(pull), world.check_runs(run.head_sha))
