"""What credentials are read from, what of them the runner is told, and what is left out of text for others."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelship.core import workflow
from modelship.core.credentials import masked, read_credentials, without_secrets
from modelship.core.errors import BadInput
from modelship.training.process import run_command

SECRET = "Tr0ub4dor&3/x+y"


def test_the_runner_is_told_each_value(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    text = f"AWS_ACCESS_KEY_ID=AKIA1234\n\n AWS_SECRET_ACCESS_KEY={SECRET}=\r\nAWS_MAX_ATTEMPTS=3\n"
    read = read_credentials(text)
    assert read == {"AWS_ACCESS_KEY_ID": "AKIA1234", "AWS_SECRET_ACCESS_KEY": f"{SECRET}=", "AWS_MAX_ATTEMPTS": "3"}
    said, told = capfd.readouterr()
    # On standard error: what a command prints may go to a file. A 3 would be masked in every digest, and GitHub would drop the output.
    assert said == ""
    assert told.splitlines() == ["::add-mask::AKIA1234", f"::add-mask::{SECRET}="]


def test_at_a_terminal_nobody_is_told(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    read_credentials(f"AWS_SECRET_ACCESS_KEY={SECRET}")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("value", "told"), [("50%25\r\nx", "50%2525%0D%0Ax"), ("##[x]", "##[x]")])
def test_a_mask_is_exactly_the_value(
    value: str, told: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    workflow.mask(value)
    assert capfd.readouterr().err == f"::add-mask::{told}\n"


@pytest.mark.parametrize("text", [SECRET, f"={SECRET}", f"GITHUB_TOKEN={SECRET}", f"A B={SECRET}"])
def test_what_is_no_credential_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(BadInput) as error:
        read_credentials(text)
    assert SECRET not in str(error.value)


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "WANDB_API_KEY", "MLFLOW_TRACKING_PASSWORD", "AWS_SESSION_TOKEN", "SLACK_WEBHOOK"])
def test_a_secret_is_known_by_its_name(name: str) -> None:
    environ = {name: SECRET, "HOME": "/home/runner"}
    assert masked(f"It says {SECRET}{SECRET} in /home/runner", environ) == "It says ****** in /home/runner"
    assert without_secrets(environ) == {"HOME": "/home/runner"}


@given(st.text(min_size=6).filter(lambda text: not set(text) & set("*") and text.strip() == text))
def test_a_password_is_known_by_its_place_in_an_address(password: str) -> None:
    written = quote(password, safe="", errors="replace")
    environ = {"WAREHOUSE": f"postgresql+psycopg://team:{written}@db.example.com:5432/flights"}
    assert written not in masked(f"cannot connect with {written}!", environ).replace("***", "")
    assert masked("db.example.com:5432/flights for team", environ) == "db.example.com:5432/flights for team"


def test_the_last_lines_of_a_command_hold_no_secret(tmp_path: Path) -> None:
    """Nor half of one, where a line is cut."""
    environment = {"PATH": "/usr/bin:/bin", "TEAM_API_KEY": SECRET}
    script = 'echo "key: $TEAM_API_KEY"; printf "%0495d%s\\n" 0 "$TEAM_API_KEY"; echo end >&2'
    finished = run_command(script, tmp_path, environment, 10)
    assert finished.log_tail == ("key: ***", "0" * 495 + "***", "end")
