"""Real servers, one of each for a test session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import servers
from tests.commenting import Team, hosted_repository, new_pull_request
from tests.e2e.git import Repository
from tests.e2e.github import GitHub

LONGEST = (
    *("test_engines", "test_comment_faults", "test_register_killed", "test_data_changes", "test_targets", "test_retrain"),
    *("test_publish", "test_monitor", "test_mlflow", "test_register", "test_evaluated_gate", "test_hostile_forks"),
)
"""Files that take minutes. They come first, so that no worker is left alone with one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an S3-compatible server."""
    with servers.s3_server(tmp_path_factory.mktemp("s3")) as url:
        yield url


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an MLflow server."""
    with servers.mlflow_server(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture(scope="session")
def mlflow_on_postgres(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Iterator[str]:
    """The URL of an MLflow server that keeps its registry in PostgreSQL."""
    store = postgres.replace("postgresql://", "postgresql+psycopg://", 1)
    with servers.mlflow_server(tmp_path_factory.mktemp("mlflow-on-postgres"), store) as url:
        yield url


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty database on a PostgreSQL server."""
    with servers.postgres_server(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(scope="session")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GitHub, Repository]]:
    """A GitHub that keeps state, and a repository on it."""
    with hosted_repository(tmp_path_factory.mktemp("github")) as found:
        yield found


@pytest.fixture
def team(hosted: tuple[GitHub, Repository]) -> Team:
    """A pull request that nobody has commented on."""
    return new_pull_request(*hosted)
