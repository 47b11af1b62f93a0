"""Targets on this machine: versions side by side and a pointer, scripts of the team's; and how a target is found."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelship.core.errors import BadInput, InfrastructureError, ModelshipError
from modelship.deployment.targets import target as target_module
from modelship.deployment.targets.directory import Directory
from modelship.deployment.targets.mlflow_serve import MlflowServe
from modelship.deployment.targets.target import NOTHING, Place, Release, Serving, Target, open_target
from modelship.deployment.targets.versions import KEPT, held_digest, locked
from tests.killing import KILLS_APART, every_moment, killed_after
from tests.project import ROOT


def release(folder: Path, version: int) -> Release:
    """A model that differs from every other version's."""
    model = folder / f"model-{version}"
    if not model.exists():
        (model / "code").mkdir(parents=True)
        (model / "MLmodel").write_text(f"flavors: {{}}\nrun_id: {version}\n")
        (model / "code" / "weights.bin").write_bytes(bytes([version]) * 1000)
    return Release("flights", version, held_digest(model), model)


def place(folder: Path) -> Place:
    return Place(folder, "staging", "flights", "python")


def tree(folder: Path) -> dict[str, Any]:
    """Everything in a folder, save the lock: content of files, and where links lead."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.name != ".lock":
            name = path.relative_to(folder).as_posix()
            found[name] = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None  # noqa: PTH115
    return found


def read_by_a_server(root: Path) -> tuple[int, str] | None:
    """What somebody finds who follows `current.json`, checked against the model that `current` leads to; None for nothing."""
    try:
        pointer = json.loads((root / "current.json").read_text())
    except FileNotFoundError:
        assert not (root / "current").exists()
        return None
    assert (root / pointer["path"]).samefile(root / "current" / "model")
    assert held_digest(root / pointer["path"]) == pointer["digest"]
    return pointer["version"], pointer["digest"]


# Finding a target ----------------------------------------------------------------------------------------------------------------


def test_every_kind_is_an_entry_point_and_a_module(tmp_path: Path) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][target_module.ENTRY_POINTS]
    offered = {"directory": "live", "mlflow-serve": {"folder": "srv"}, "command": "./deploy.sh"}
    assert set(declared) == set(offered)
    for kind, written in offered.items():
        opened = open_target(kind, written, place(tmp_path))
        assert all(callable(getattr(opened, name)) for name in ("serve", "serving", "clear"))
    assert list(tmp_path.iterdir()) == [], "opening changes nothing"


def test_another_package_offers_a_target_and_cannot_replace_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "cloudy-1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: cloudy\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[modelship.targets]\ncloudy = cloudy:open\ndirectory = cloudy:open\n")
    (tmp_path / "site" / "cloudy.py").write_text("def open(settings, place): return settings, place.environment\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert open_target("cloudy", {"a": 1}, place(tmp_path)) == ({"a": 1}, "staging")  # type: ignore[comparison-overlap]
    assert isinstance(open_target("directory", "live", place(tmp_path)), Directory)


@pytest.mark.parametrize(
    ("kind", "written", "says"),
    [
        (
            "directry",
            "live",
            "`deploy.environments.staging.target` is `directry`, which is no kind of target. Did you mean `directory`?",
        ),
        ("kubernetes", "live", "Known: `command`, `directory`, `mlflow-serve`."),
        ("directory", {"pat": "live"}, "unknown key `deploy.environments.staging.target.directory.pat`. Did you mean `path`?"),
        ("directory", {}, "the key `deploy.environments.staging.target.directory.path` is missing."),
        ("directory", None, "the key `deploy.environments.staging.target.directory.path` is missing."),
        ("directory", 3, "`deploy.environments.staging.target.directory`: expected `object`, got `int`."),
        ("directory", "gs://bucket/x", "is `gs://bucket/x`, which is no folder."),
        ("directory", "s3:///x", "which names no bucket"),
        (
            "mlflow-serve",
            {"folder": "srv", "port": "5001"},
            "target.mlflow-serve.port`: expected `int | null`, got `str`. The port that",
        ),
        ("mlflow-serve", {"folder": "srv", "port": 70000}, "target.mlflow-serve.port`: expected `int` <= 65535."),
        ("mlflow-serve", {"folder": "srv", "timeout": "soon"}, "How long the server may take to start, as `60s`."),
        ("mlflow-serve", {"port": 5001}, "target.mlflow-serve.folder` is missing. Where versions"),
        ("command", {"run": ""}, "target.command.run`: expected `str` of length >= 1."),
        ("command", {"run": "a", "rollback": "b"}, "unknown key `deploy.environments.staging.target.command.rollback`."),
    ],
)
def test_settings_are_read_strictly(kind: str, written: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as raised:
        open_target(kind, written, place(tmp_path))
    assert says in str(raised.value)


# A folder ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "live"


def test_versions_stand_side_by_side_and_the_pointer_moves(tmp_path: Path, root: Path) -> None:
    target = Directory(root, "staging")
    assert target.serving() == NOTHING
    for version in (1, 2, 1):
        wanted = release(tmp_path, version)
        serving = target.serve(wanted)
        assert serving == Serving(folder=root / "versions" / f"v{version}-{wanted.digest[7:19]}" / "model")
        assert target.serving() == read_by_a_server(root) == (version, wanted.digest)
    assert len(list((root / "versions").iterdir())) == 2
    target.clear()
    assert (target.serving(), read_by_a_server(root)) == (NOTHING, None)
    target.clear()
    assert target.serve(release(tmp_path, 2)).folder is not None
    assert read_by_a_server(root) == (2, release(tmp_path, 2).digest)


def test_serving_twice_changes_nothing(tmp_path: Path, root: Path) -> None:
    Directory(root, "staging").serve(release(tmp_path, 1))
    before = tree(root)
    Directory(root, "staging").serve(release(tmp_path, 1))
    assert tree(root) == before


def test_what_somebody_changed_is_told_and_mended(tmp_path: Path, root: Path) -> None:
    target, wanted = Directory(root, "staging"), release(tmp_path, 1)
    target.serve(wanted)
    held = root / "current" / "model" / "MLmodel"
    held.write_text("flavors: {evil: {}}\n")
    told = target.serving()
    assert told is not None
    assert told[0] == 1
    assert told[1] != wanted.digest
    target.serve(wanted)
    assert target.serving() == read_by_a_server(root) == (1, wanted.digest)


def test_a_copy_that_differs_is_not_switched_to(tmp_path: Path, root: Path) -> None:
    target, good = Directory(root, "staging"), release(tmp_path, 1)
    target.serve(good)
    tampered = Release("flights", 2, good.digest, release(tmp_path, 2).folder)
    with pytest.raises(InfrastructureError, match="is not what was copied"):
        target.serve(tampered)
    assert target.serving() == read_by_a_server(root) == (1, good.digest)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda root: (root / "current" / "release.json").write_text("{"),
        lambda root: (root / "current" / "release.json").write_bytes(b"\xff" * 10),
        lambda root: (root / "current" / "release.json").write_text('{"model": "m", "version": 1, "digest": "x", "path": "/etc"}'),
        lambda root: (root / "current" / "release.json").unlink(),
        lambda root: shutil.rmtree(root / "versions"),
        lambda root: ((root / "current").unlink(), (root / "current").symlink_to("current")),
        lambda root: ((root / "current").unlink(), (root / "current").symlink_to("/nowhere")),
        lambda root: (root / "current").unlink(),
        lambda root: (root / "current.json").unlink(),
        lambda root: shutil.rmtree((root / "current").resolve() / "model"),
    ],
)
def test_a_broken_state_is_mended_by_the_next_deployment(break_it: Callable[[Path], object], tmp_path: Path, root: Path) -> None:
    target, wanted = Directory(root, "staging"), release(tmp_path, 1)
    target.serve(wanted)
    break_it(root)
    target.serving()
    target.serve(wanted)
    assert target.serving() == read_by_a_server(root) == (1, wanted.digest)


def test_what_the_team_keeps_under_the_names_is_left_alone(tmp_path: Path, root: Path) -> None:
    (root / "current").mkdir(parents=True)
    (root / "current" / "ours.txt").write_text("ours")
    for change in (lambda: Directory(root, "staging").serve(release(tmp_path, 1)), Directory(root, "staging").clear):
        with pytest.raises(BadInput, match="is no link"):
            change()
    assert (root / "current" / "ours.txt").read_text() == "ours"


def test_no_two_environments_or_models_share_a_folder(tmp_path: Path, root: Path) -> None:
    target, first, second = Directory(root, "staging"), release(tmp_path, 1), release(tmp_path, 2)
    target.serve(first)
    before = tree(root)
    with pytest.raises(BadInput, match="serves `flights` in staging, not `flights` in production"):
        Directory(root, "production").serve(second)
    with pytest.raises(BadInput, match="serves `flights` in staging, not `trains` in staging"):
        target.serve(Release("trains", 2, second.digest, second.folder))
    assert tree(root) == before
    target.clear()
    Directory(root, "production").serve(second)
    assert read_by_a_server(root) == (2, second.digest)


def test_one_at_a_time(tmp_path: Path, root: Path) -> None:
    with locked(root), pytest.raises(InfrastructureError, match="another process is changing"), locked(root, patience=0.1):
        pass
    Directory(root, "staging").serve(release(tmp_path, 1))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError, match="cannot be written"):
        Directory(tmp_path / "file", "staging").serve(release(tmp_path, 1))


@given(st.lists(st.integers(0, 9), max_size=25))
@settings(max_examples=25, deadline=None)
def test_the_pointer_follows_and_those_that_served_last_stay(tmp_path_factory: pytest.TempPathFactory, wanted: list[int]) -> None:
    """0 stands for serving nothing."""
    models, root = tmp_path_factory.getbasetemp() / "models", tmp_path_factory.mktemp("target") / "live"
    target = Directory(root, "staging")
    order: list[int] = []
    for version in wanted:
        if version:
            target.serve(release(models, version))
            order = [version, *(other for other in order if other != version)][:KEPT]
        else:
            target.clear()
        expected = (version, release(models, version).digest) if version else None
        assert (target.serving(), read_by_a_server(root)) == (expected or NOTHING, expected)
        kept = [] if not order else [int(path.name[1:].partition("-")[0]) for path in (root / "versions").iterdir()]
        assert sorted(kept) == sorted(order)


# Killed at every moment ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("served", "version"),
    [((), 1), ((1,), 2), ((1, 2), 1), ((1,), 0), ((1, 2, 3, 4, 5), 6), ((1, 2, -1), 1)],
    ids=["first", "next", "back", "clear", "oldest goes", "damaged"],
)
def test_killed_at_any_moment_it_is_whole_and_repeating_ends_as_if_nothing_had_been(
    served: tuple[int, ...], version: int, tmp_path: Path
) -> None:
    """-1 stands for damage to version 1, 0 for serving nothing."""

    def act(root: Path) -> None:
        Directory(root, "staging").serve(release(tmp_path, version)) if version else Directory(root, "staging").clear()

    start, clean, root = tmp_path / "start", tmp_path / "clean", tmp_path / "killed"
    start.mkdir()
    for one in served:
        if one > 0:
            Directory(start, "staging").serve(release(tmp_path, one))
        else:
            (next((start / "versions").glob("v1-*")) / "model" / "MLmodel").write_text("changed")
    before = read_by_a_server(start)
    shutil.copytree(start, clean, symlinks=True)
    act(clean)
    after = read_by_a_server(clean)
    for moment in every_moment(KILLS_APART):
        shutil.copytree(start, root, symlinks=True)
        was_killed = killed_after(moment, lambda: act(root))
        assert read_by_a_server_at_any_moment(root) in (before, after), moment
        act(root)
        assert tree(root) == tree(clean), moment
        shutil.rmtree(root)
        if not was_killed:
            break
    assert moment > (10 if version == 0 else 30)


@pytest.mark.parametrize("moment", range(1, 140, 4 * KILLS_APART))
def test_what_a_killed_run_left_hinders_no_other_version(moment: int, tmp_path: Path, root: Path) -> None:
    target = Directory(root, "staging")
    target.serve(release(tmp_path, 1))
    killed_after(moment, lambda: target.serve(release(tmp_path, 2)))
    target.serve(release(tmp_path, 3))
    assert target.serving() == read_by_a_server(root) == (3, release(tmp_path, 3).digest)
    assert not [path for path in root.rglob(".*") if path.name != ".lock"]


def read_by_a_server_at_any_moment(root: Path) -> tuple[int, str] | None:
    """As `read_by_a_server`; while something is cleared, `current.json` may be there for a moment longer and lead nowhere."""
    return read_by_a_server(root) if (root / "current").exists() else None


# Scripts of the team's -----------------------------------------------------------------------------------------------------------

SCRIPT = """\
#!/usr/bin/env bash
set -eu
case $MODELSHIP_ACTION in
  serve)
    cp -r "$MODELSHIP_FOLDER" served.new && rm -rf served && mv served.new served
    printf '{"version": %s, "digest": "%s"}' "$MODELSHIP_VERSION" "$MODELSHIP_DIGEST" >state.json
    env | grep -E '^(MODELSHIP|GITHUB|TOKEN)' | sort >environment.txt
    echo '{"url": "http://127.0.0.1:1/models/flights/"}' >"$MODELSHIP_OUTPUT" ;;
  serving) if [ -e state.json ]; then cp state.json "$MODELSHIP_OUTPUT"; else echo null >"$MODELSHIP_OUTPUT"; fi ;;
  clear) rm -rf served state.json ;;
esac
"""


def scripts(folder: Path, **more: str) -> Target:
    path = folder / "deploy.sh"
    path.write_text(SCRIPT)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return open_target("command", {"run": "./deploy.sh", "serving": "./deploy.sh", "clear": "./deploy.sh", **more}, place(folder))


def test_scripts_serve_say_and_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "MODELSHIP_SECRET"):
        monkeypatch.setenv(name, "ours")
    monkeypatch.setenv("TOKEN", "theirs")
    target, wanted = scripts(tmp_path), release(tmp_path / "models", 3)
    assert target.serving() == NOTHING
    assert target.serve(wanted) == Serving(url="http://127.0.0.1:1/models/flights")
    assert target.serving() == (3, wanted.digest)
    assert held_digest(tmp_path / "served") == wanted.digest
    told = dict(line.split("=", 1) for line in (tmp_path / "environment.txt").read_text().splitlines())
    output = told.pop("MODELSHIP_OUTPUT")
    assert output
    assert told == {
        "TOKEN": "theirs",
        "MODELSHIP_ACTION": "serve",
        "MODELSHIP_MODEL": "flights",
        "MODELSHIP_VERSION": "3",
        "MODELSHIP_DIGEST": wanted.digest,
        "MODELSHIP_FOLDER": str(wanted.folder),
        "MODELSHIP_ENVIRONMENT": "staging",
    }
    target.clear()
    assert target.serving() == NOTHING


def test_one_script_is_enough_until_a_first_deployment_fails(tmp_path: Path) -> None:
    target = open_target("command", "true", place(tmp_path))
    assert target.serve(release(tmp_path, 1)) == Serving(folder=release(tmp_path, 1).folder)
    assert target.serving() is None
    with pytest.raises(InfrastructureError, match=r"there is no `deploy\.environments\.staging\.target\.command\.clear`"):
        target.clear()


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        (
            {"run": "echo first; echo the reason >&2; exit 7"},
            InfrastructureError,
            "run` ended with exit status 7. Its last lines: first / the",
        ),
        ({"run": "nothing-of-that-name"}, InfrastructureError, "ended with exit status 127"),
        ({"run": "sleep 60 & wait", "timeout": "1s"}, InfrastructureError, "was stopped after 1s."),
        ({"run": "false | true"}, InfrastructureError, "ended with exit status 1"),
        ({"run": 'echo "{" > "$MODELSHIP_OUTPUT"'}, BadInput, "run` wrote to MODELSHIP_OUTPUT is not understood"),
        ({"run": """echo '{"address": 1}' > "$MODELSHIP_OUTPUT" """}, BadInput, "unknown field `address`"),
        ({"run": """echo '{"url": "file:///etc"}' > "$MODELSHIP_OUTPUT" """}, BadInput, "which is no address"),
        ({"run": """echo '{"url": "http://me:pa55@host/"}' > "$MODELSHIP_OUTPUT" """}, BadInput, "which is no address"),
        ({"run": """echo '{"url": "http://[::1"}' > "$MODELSHIP_OUTPUT" """}, BadInput, "which is no address"),
        ({"run": 'head -c 70000 /dev/zero | tr "\\0" " " > "$MODELSHIP_OUTPUT"'}, BadInput, "is no file of at most 64 KiB"),
        ({"run": 'mkdir "$MODELSHIP_OUTPUT"'}, BadInput, "is no file of at most 64 KiB"),
        ({"run": 'ln -s /etc/hostname "$MODELSHIP_OUTPUT"'}, BadInput, "is no file of at most 64 KiB"),
    ],
)
def test_a_script_that_fails_says_why(settings: dict[str, str], error: type[ModelshipError], says: str, tmp_path: Path) -> None:
    with pytest.raises(error) as raised:
        open_target("command", settings, place(tmp_path)).serve(release(tmp_path, 1))
    assert says in str(raised.value)


def test_a_secret_that_a_script_prints_does_not_get_into_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_PASSWORD", "hunter2-hunter2")
    monkeypatch.setenv("SOME_TOKEN", "ab")
    with pytest.raises(InfrastructureError) as raised:
        open_target("command", 'echo "about to log in with $REGISTRY_PASSWORD"; exit 1', place(tmp_path)).serve(release(tmp_path, 1))
    assert "about to log in with ***" in str(raised.value)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("said", ["{}", '{"version": 0, "digest": ""}', '{"version": 1, "digest": "sha256:x"}', "[1]", "7"])
def test_what_serves_is_read_strictly(said: str, tmp_path: Path) -> None:
    target = open_target("command", {"run": "true", "serving": f"echo '{said}' > \"$MODELSHIP_OUTPUT\""}, place(tmp_path))
    with pytest.raises(BadInput, match="serving` wrote to MODELSHIP_OUTPUT is not understood"):
        target.serving()


def test_a_script_that_says_nothing_of_what_serves_leaves_it_to_the_ledger(tmp_path: Path) -> None:
    assert open_target("command", {"run": "true", "serving": "true"}, place(tmp_path)).serving() is None


# A server's files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b'{"server": "../../x"}', b"null"])
def test_a_server_s_pointer_that_cannot_be_read_names_nothing(content: bytes, tmp_path: Path) -> None:
    target = open_target("mlflow-serve", {"folder": "srv"}, place(tmp_path))
    assert isinstance(target, MlflowServe)
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv" / "current.json").write_bytes(content)
    assert target.serving() == NOTHING
    target.clear()
    assert not (tmp_path / "srv" / "current.json").exists()
