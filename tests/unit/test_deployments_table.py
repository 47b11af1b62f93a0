"""What the ledger says, for a person."""

from __future__ import annotations

from modelship.deployment.ledger import Action, Entry, fold
from modelship.reporting.deployments import history, history_table, live_table
from modelship.reporting.terminal import render_table

DAY = 1_795_000_000_000


def entry(number: int, action: Action, version: int, expects: int, *, environment: str = "production", **more: object) -> Entry:
    lease = 600 if action in (Action.DEPLOY, Action.ROLLBACK) else 0
    fields = {"key": f"run {version}", "actor": "dana", "replaces": None, **more}
    return Entry(
        environment=environment, action=action, version=version, expects=expects, lease=lease, number=number,
        at=DAY + 60_000 * number, **fields,  # type: ignore[arg-type]
    )  # fmt: skip


ENTRIES = (
    entry(1, Action.DEPLOY, 7, 0, environment="staging"),
    entry(2, Action.GOOD, 7, 1, environment="staging"),
    entry(3, Action.DEPLOY, 7, 0, replaces=0),
    entry(4, Action.GOOD, 7, 3, replaces=0),
    entry(5, Action.DEPLOY, 8, 4, replaces=7),
    entry(6, Action.FAILED, 8, 5, replaces=7, reason="3 of 50 answers \x1b[31mdiffer"),
    entry(7, Action.DEPLOY, 9, 3),  # which does not count: its author had not seen the newest entry
    entry(8, Action.DEPLOY, 8, 6, replaces=7, key="again"),
)


def test_deployments_are_told_newest_first_with_how_they_ended() -> None:
    told = [(known.number, known.environment, known.version, known.outcome) for known in history(ENTRIES, fold(ENTRIES))]
    assert told == [
        (8, "production", 8, "in progress"),
        (6, "production", 8, "failed"),
        (4, "production", 7, "live"),
        (2, "staging", 7, "live"),
    ]
    assert [known.number for known in history(ENTRIES, fold(ENTRIES), "staging")] == [2]


def test_a_rollback_is_told_as_one() -> None:
    entries = (
        *ENTRIES[:4],
        entry(5, Action.DEPLOY, 8, 4, replaces=7),
        entry(6, Action.GOOD, 8, 5, replaces=7),
        entry(7, Action.ROLLBACK, 7, 6, replaces=8, key="back", reason="late flights"),
        entry(8, Action.GOOD, 7, 7, replaces=8, key="back", reason="late flights"),
    )
    newest = history(entries, fold(entries))[0]
    assert (newest.outcome, newest.version, newest.reason) == ("rolled back to", 7, "late flights")
    assert "rolled back to v7" in render_table(history_table(history(entries, fold(entries))))


def test_the_tables_name_what_is_live_and_obey_no_control_character() -> None:
    state = fold(ENTRIES)
    live = render_table(live_table(state)).splitlines()
    assert [row.split()[:3] for row in live] == [
        ["environment", "serves", "since"],
        ["✓", "staging", "v7,"],
        ["!", "production", "v7,"],
    ]
    assert "v8 is being deployed" in live[2]
    shown = render_table(history_table(history(ENTRIES, state)))
    assert "\x1b[31m" not in shown
    assert "2026-11-18 " in shown
    assert render_table(history_table(history(ENTRIES, state)), 1).splitlines()[-1] == "… and 3 more"
