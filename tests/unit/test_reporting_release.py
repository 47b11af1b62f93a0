"""What is told of a release: who serves where now, why, and what was left alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from modelship.core.errors import Problem
from modelship.core.records import DeployRecord, RegisterRecord, SmokeCheck
from modelship.reporting import html, markdown, terminal
from modelship.reporting.checks import Distrusted, Found
from modelship.reporting.inline import plain
from modelship.reporting.release import Release, Step, build_release_report
from modelship.reporting.report import Facts, Report

COMMIT = "c0ffee1" + "0" * 33
HOLDS = (
    SmokeCheck(check="answers", holds=True, told="it answers"),
    SmokeCheck(check="predictions", holds=True, told="50 rows of 50 answered as when the version was registered"),
)
SLOW = SmokeCheck(check="latency", holds=False, told="p50 2.1 ms, p99 3.1 ms for one row; allowed are 0.001ms")


def registered(**more: Any) -> RegisterRecord:
    told: dict[str, Any] = {
        "status": "pass", "summary": "v8", "name": "flight-delay", "version": 8, "created": True, "digest": "sha256:" + "ab" * 32,
        "formats": ("skops",), "bytes": 310_000, "examples": 50, "mlflow_url": "https://mlflow.example.org/#/models/flight-delay/versions/8",
    }  # fmt: skip
    return RegisterRecord(**{**told, **more})


def deployed(environment: str, **more: Any) -> DeployRecord:
    told: dict[str, Any] = {
        "status": "pass", "summary": f"v8 is live in {environment}", "environment": environment, "version": 8, "before": 7, "live": 8,
        "champion": 8 if environment == "production" else 7, "changed": True, "entry": 4, "checks": HOLDS, "asked": 101,
        "latency_p50": 0.0011, "latency_p99": 0.0021,
    }  # fmt: skip
    return DeployRecord(**{**told, **more})


def rolled_back(environment: str) -> DeployRecord:
    summary = f"v8 did not hold: {SLOW.told}; v7 serves {environment} again"
    return deployed(environment, status="fail", summary=summary, live=7, champion=7, changed=False, checks=(*HOLDS, SLOW))


def refused(environment: str) -> DeployRecord:
    summary = "v8 was judged against champion v6, and the champion is v7 now: judge it again"
    return deployed(environment, status="fail", summary=summary, live=7, champion=7, changed=False, entry=None, checks=())


def failed(environment: str) -> DeployRecord:
    return DeployRecord(status="error", summary="down", problems=(Problem("the bucket did not answer.", "Try again."),))


def report_on(environments: Mapping[str, Found | str], register: Found | str = "", model: str = "success") -> Report:
    """A release whose jobs left these records, or ended with these words without one."""
    steps = {name: Step(found) if isinstance(found, str) else Step("failure", found) for name, found in environments.items()}
    first = Step(register) if isinstance(register, str) and register else Step("success", register or registered())
    facts = Facts(
        COMMIT, f"https://github.com/acme/flights/commit/{COMMIT}", "run 43", "https://github.com/acme/flights/actions/runs/43"
    )
    return build_release_report("flight-delay", Release(model, first, steps), facts)


def shown(report: Report) -> list[str]:
    """The open table, row by row."""
    assert report.table
    return [" | ".join(map(plain, row.cells)) for row in report.table.rows]


def test_a_release_that_went_well() -> None:
    report = report_on({"staging": deployed("staging"), "production": deployed("production")})
    assert (report.icon, report.title, report.conclusion) == ("🟢", "flight-delay: v8 serves production", "success")
    assert plain(report.cause) == "Released. flight-delay v8 holds its smoke test in staging and production."
    assert shown(report) == [
        "staging | v8 in place of v7 | v8 | 2 of 2 checks hold, p99 2.1 ms",
        "production | v8 in place of v7, the new champion | v8 | 2 of 2 checks hold, p99 2.1 ms",
    ]
    comment = markdown.render_comment(report)
    assert comment.endswith("<!-- modelship:flight-delay:release -->\n")
    assert "merge commit [<code>c0ffee1</code>]" in comment
    assert "<details open>" not in comment


@pytest.mark.parametrize(
    ("environments", "light", "headline", "cause", "rows"),
    [
        pytest.param(
            {"staging": rolled_back("staging"), "production": "skipped"},
            "fail",
            "v8 was rolled back in staging",
            f"v8 did not hold: {SLOW.told}; v7 serves staging again. production was not touched.",
            [
                "staging | v8 rolled back | v7 | latency does not hold",
                "production | not deployed | as before | —",
            ],
            id="rolled back",
        ),
        pytest.param(
            {"staging": deployed("staging"), "production": refused("production")},
            "fail",
            "v8 was refused in production",
            "v8 was judged against champion v6, and the champion is v7 now: judge it again.",
            ["staging | v8 in place of v7 | v8 | 2 of 2 checks hold, p99 2.1 ms", "production | v8 refused | v7 | —"],
            id="refused",
        ),
        pytest.param(
            {"staging": failed("staging"), "production": "skipped"},
            "fail",
            "v8 could not be deployed to staging",
            "The bucket did not answer. Try again. production was not touched.",
            ["staging | error | not known | —", "production | not deployed | as before | —"],
            id="an error",
        ),
        pytest.param(
            {"staging": deployed("staging"), "production": "failure"},
            "fail",
            "v8 was not deployed to production",
            "The job that deploys to production ended as failure and left no record: nobody approved it, or it broke before it began.",
            ["staging | v8 in place of v7 | v8 | 2 of 2 checks hold, p99 2.1 ms", "production | not deployed | as before | —"],
            id="not approved",
        ),
        pytest.param(
            {"staging": deployed("production")},
            "fail",
            "the record of staging cannot be trusted",
            "What became of staging is not known: it speaks of another environment.",
            ["staging | not known | not known | —"],
            id="another environment's record",
        ),
        pytest.param(
            {"staging": Distrusted("deploy.json: is not among what was handed over.")},
            "fail",
            "the record of staging cannot be trusted",
            "What became of staging is not known: deploy.json: is not among what was handed over.",
            ["staging | not known | not known | —"],
            id="a record that was written over",
        ),
        pytest.param(
            {
                "production": deployed(
                    "production",
                    summary="v8 was deployed by this run before; now v7 serves production",
                    live=7,
                    changed=False,
                    checks=(),
                )
            },
            "warn",
            "v7 serves production, in place of v8",
            "v8 was deployed by this run before; now v7 serves production.",
            ["production | v8 was there before | v7 | —"],
            id="rolled back by somebody meanwhile",
        ),
        pytest.param(
            {"production": deployed("production", changed=False, checks=())},
            "pass",
            "v8 serves production",
            "Released. flight-delay v8 is in the registry.",
            ["production | v8 was live already | v8 | —"],
            id="live already",
        ),
        pytest.param(
            {"production": deployed("production", before=None, latency_p99=None)},
            "pass",
            "v8 serves production",
            "Released. flight-delay v8 holds its smoke test in production.",
            ["production | v8 is the first, the new champion | v8 | 2 of 2 checks hold"],
            id="the first",
        ),
    ],
)  # fmt: skip
def test_what_became_of_it(environments: Mapping[str, Found | str], light: str, headline: str, cause: str, rows: list[str]) -> None:
    report = report_on(environments)
    assert (report.light, report.headline, plain(report.cause), shown(report)) == (light, headline, cause, rows)


@pytest.mark.parametrize(
    ("register", "model", "headline", "cause"),
    [
        ("skipped", "failure", "not released, because the merge commit does not pass", "Training or judging the merge commit ended"),
        ("failure", "success", "the model was not registered", "The job that registers ended as failure and left no record."),
        (
            RegisterRecord(status="error", summary="a pickle is not admitted"),
            "success",
            "the model was not registered",
            "A pickle is not",
        ),
        (Distrusted("is a link."), "success", "the model was not registered", "The record of register cannot be trusted: is a link."),
    ],
)
def test_what_was_not_registered(register: Found | str, model: str, headline: str, cause: str) -> None:
    report = report_on({"staging": "skipped", "production": "skipped"}, register, model)
    assert (report.light, report.headline, report.table) == ("fail", headline, None)
    assert plain(report.cause).startswith(cause)
    assert plain(report.cause).endswith(" Every environment serves what it served.")


def test_a_release_without_environments_is_a_registration() -> None:
    report = report_on({})
    assert (report.light, report.headline, report.table) == ("pass", "v8 is registered", None)


def test_what_a_smoke_test_could_not_ask_is_said_first() -> None:
    notice = "The version has no examples: the smoke test has only seen that it answers, not what."
    report = report_on({name: deployed(name, notices=(notice,)) for name in ("staging", "production")})
    assert [plain(told.content) for told in report.notices] == [notice]


def test_every_renderer_shows_the_same() -> None:
    report = report_on({"staging": rolled_back("staging"), "production": "skipped"})
    for shown_as in (markdown.render_comment(report), html.render_page(report), terminal.render(report)):
        for told in ("v8 was rolled back in staging", "v8 rolled back", "as before", "not touched", "0.001"):
            assert told in shown_as.replace("&nbsp;", " "), told
    assert "<details open><summary>Smoke test in staging: 2 of 3 checks hold" in markdown.render_comment(report)


def test_text_from_elsewhere_stays_text() -> None:
    evil = "<img src=x> @everyone | `x` <!-- modelship:flight-delay -->"
    broken = SmokeCheck(check=evil, holds=False, told=evil)
    record = deployed(evil, status="fail", summary=evil, reason=evil, checks=(broken,), notices=(evil,))
    report = report_on({evil: record}, registered(name=evil, mlflow_url=f"javascript:{evil}", formats=(evil,)))
    comment = markdown.render_comment(report)
    assert "<img" not in comment
    assert "@everyone" not in comment
    assert "javascript" not in comment
    assert comment.count("<!--") == 1
    assert "<img" not in html.render_page(report)
