"""A team on a GitHub that keeps state, for tests of what is written there."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelship.github.client import Connection, GitHub
from modelship.github.publish import Destination, Published, publish
from modelship.reporting.checks import Found
from modelship.reporting.report import Facts, Report, build_report
from tests.e2e.git import Repository
from tests.e2e.github import BOT, CheckRun, Comment, PullRequest, emulate_script
from tests.e2e.github import GitHub as GitHubServer
from tests.project import CONFIG, ROOT

REPOSITORY = "acme/flights"
GRANTED = {"contents": "read", "pull-requests": "write", "checks": "write"}


@dataclass
class Team:
    """A team's repository on GitHub, and one pull request in it."""

    server: GitHubServer
    repository: Repository
    pull: PullRequest

    @property
    def head(self) -> str:
        return self.repository.tip(self.pull.branch)

    def push(self) -> str:
        return self.repository.commit(self.pull.branch, {}, "one more")

    def comments(self) -> list[Comment]:
        return self.server.comments(self.pull.number)

    def ours(self) -> list[Comment]:
        return [comment for comment in self.comments() if comment.author == BOT]

    def our_checks(self, sha: str | None = None) -> list[CheckRun]:
        return [run for run in self.server.check_runs(sha or self.head) if run.name == "modelship: flight-delay"]

    def publish(
        self,
        records: Mapping[str, Found],
        *,
        head: str | None = None,
        permissions: Mapping[str, str] = GRANTED,
        token: str | None = None,
        in_pull_request: bool = True,
        author: str | None = None,
        model: str = "flight-delay",
        through: str = "",
        timeout: float = 20,
    ) -> tuple[Published, list[float]]:
        """Publish a report on `head`, by the server or by what stands in front of it at the URL `through`.

        Returns what was done, and the pauses that were made.
        """
        pauses: list[float] = []
        head = head or self.head
        github = GitHub(Connection(through or self.server.url, REPOSITORY, token or self.server.token(permissions)), timeout)
        destination = Destination(head, self.pull.number if in_pull_request else None, "https://github.com/run/42", author)
        return publish(report_on(records, head, model), github, destination, pauses.append), pauses

    def write_as_bot(self, body: str) -> None:
        token = self.server.token(GRANTED)
        path = f"/repos/{REPOSITORY}/issues/{self.pull.number}/comments"
        self.server.call("POST", path, {"body": body}, bearer=token)


def report_on(records: Mapping[str, Found], head: str, model: str = "flight-delay") -> Report:
    return build_report(model, records, Facts(head=head, in_pull_request=True))


@contextmanager
def hosted_repository(folder: Path) -> Iterator[tuple[GitHubServer, Repository]]:
    """A GitHub with one repository, until the block ends."""
    template = folder / "template"
    template.mkdir()
    (template / "modelship.yaml").write_text(CONFIG)
    server = GitHubServer(folder / "server", REPOSITORY, emulate_script(ROOT), dict(os.environ))
    try:
        server.wait()
        repository = Repository(REPOSITORY, folder / "origins", folder / "work", template, server.pushed)
        server.attach(repository)
        repository.commit("main", {}, "first")
        yield server, repository
    finally:
        server.stop()


_branches = itertools.count(1)


def new_pull_request(server: GitHubServer, repository: Repository) -> Team:
    """A pull request that nobody has commented on; nothing is broken, and no request is noted."""
    branch = f"change-{next(_branches)}"
    repository.commit(branch, {f"{branch}.txt": "changed\n"}, "change")
    server.door.faults.clear()
    server.door.requests.clear()
    return Team(server, repository, server.open_pull_request(branch, "Change"))
