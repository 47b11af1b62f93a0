"""A few hundred broken documents for each parser; `make fuzz` takes 100,000."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import harness
from tests.fuzz.parsers import NAMES

CASES = 400
PATIENCE = 30.0
"""Seconds of the processor: here only what would never end is a finding."""


@pytest.mark.parametrize("name", NAMES)
def test_broken_input_is_an_error_of_ours(name: str, tmp_path: Path) -> None:
    found = harness.run(name, CASES, tmp_path, seed=1, seconds=PATIENCE)
    assert found.findings == {}
    assert 0 < found.taken < CASES, "some cases are valid, and most are not"


def test_the_harness_sees_what_goes_wrong(tmp_path: Path) -> None:
    """Exceptions, hangs, hunger for memory and death are told apart from errors of ours."""
    found = harness.run("self-test", 6, tmp_path, seconds=0.2)
    told = [found.findings[case] for case in sorted(found.findings)]
    assert len(told) == 4
    assert told[0].startswith("KeyError")
    assert told[1] == "took more than 0.2 s"
    assert told[2].startswith("MemoryError")
    assert told[3].startswith("the process ended with -9")
