"""Gates close on what is not there; every one of them tells its values."""

import json
from pathlib import Path

import pytest
from conftest import Runner

import runsync
from promotion.conftest import Promote, Registry, set_alias
from runsync.bundle import schemas
from runsync.model.run import LatestMetric, Run
from runsync.promotion.gates import Evidence, Gate, parse_comparison, require


def run_of(**metrics: float) -> Run:
    """A run with these metrics."""
    latest = tuple(LatestMetric(key, value, 1, 0) for key, value in metrics.items())
    return Run("a" * 32, "1", tags={"reviewed": "yes"}, latest_metrics=latest)


@pytest.mark.parametrize(
    ("expression", "passed"),
    [
        ("metrics.auc > 0.9", True),
        ("metrics.auc > 0.95", False),
        ("metrics.auc > 0.9 AND tags.reviewed = 'yes'", True),
        ("metrics.auc > 0.9 AND tags.reviewed = 'no'", False),
        ("NOT metrics.auc < 0.9", True),
        ("NOT metrics.odd < 0.9", False),
        ("metrics.odd != 3", False),
        ("metrics.gone < 3", False),
        ("NOT metrics.gone < 3", False),
        ("metrics.auc > 0.9 OR metrics.gone > 3", False),
        ("metrics.auc > 0.9 OR metrics.odd > 3", False),
        ("tags.gone IS NULL", True),
        ("tags.gone IS NOT NULL", False),
    ],
)
def test_what_is_missing_or_nan_refuses_whatever_is_asked_of_it(expression: str, passed: bool) -> None:
    assert require(expression, Evidence(run_of(auc=0.93, odd=float("nan")))).passed is passed


@pytest.mark.parametrize(
    ("text", "ours", "theirs", "passed"),
    [
        ("on metrics.x up", 2, 1, True),
        ("on metrics.x up", 1, 1, False),
        ("on metrics.x down", 1, 2, True),
        ("on metrics.x down", 2, 1, False),
        ("on metrics.x up by 0.5", 1.5, 1, True),
        ("on metrics.x up by 0.5", 1.4, 1, False),
        ("on metrics.x up by 10%", 110, 100, True),
        ("on metrics.x up by 10%", 109, 100, False),
        ("on metrics.x down by 10%", -110, -100, True),
        ("on metrics.x up", float("nan"), 1, False),
        ("on metrics.x up", 1, float("nan"), False),
        ("on metrics.x up", float("inf"), 1, True),
    ],
)
def test_a_model_is_better_than_another_by_a_margin(text: str, ours: float, theirs: float, passed: bool) -> None:
    comparison = parse_comparison(f"champion {text}", "", "", False)
    assert comparison.look(run_of(x=ours), run_of(x=theirs), "churn/1").passed is passed


@pytest.mark.parametrize(
    ("by", "ours", "theirs", "passed"),
    [("", 1, 1, True), ("", 0.9, 1, False), ("0.1", 0.9, 1, True), ("5%", 94, 100, False), ("5%", 95, 100, True)],
)
def test_a_model_is_not_worse_than_another_within_a_tolerance(
    by: str, ours: float, theirs: float, passed: bool
) -> None:
    comparison = parse_comparison("champion", "metrics.x up", by, True)
    assert comparison.look(run_of(x=ours), run_of(x=theirs), "churn/1").passed is passed


def test_what_the_other_model_lacks_refuses_and_no_other_model_passes() -> None:
    comparison = parse_comparison("champion on metrics.x up", "", "", False)
    lacking = comparison.look(run_of(x=1), run_of(), "churn/1")
    assert (lacking.passed, lacking.told, lacking.theirs) == (False, "churn/1 has no metrics.x", {"metrics.x": None})
    alone = comparison.look(run_of(x=1), None)
    assert (alone.passed, alone.told) == (True, "there is no champion yet")
    assert comparison.look(run_of(), None).passed is False


def test_a_gate_survives_json() -> None:
    gate = require("metrics.odd > 1", Evidence(run_of(odd=float("nan"))))
    document = json.loads(json.dumps(gate.to_document(), allow_nan=False))
    assert Gate.from_document(document).to_document() == gate.to_document()
    assert document["ours"] == {"metrics.odd": "NaN"}


def test_a_refusal_writes_nothing_unless_it_is_to_be_recorded(promote: Promote, prod: Registry) -> None:
    refused = promote("churn/1", require=["metrics.auc > 2"])
    assert (refused.action, refused.exit_code, refused.version) == ("refused", 4, None)
    assert runsync.list_models(prod.url).models == []
    promote("churn/1", require=["metrics.auc > 0.6"])
    gates = {"better_than": ["champion"], "on": "metrics.loss up"}
    refused = promote("churn/2", **gates, record_refusals=True)
    assert [(gate.passed, gate.ours, gate.theirs) for gate in refused.gates] == [
        (False, {"metrics.loss": 1 / 3}, {"metrics.loss": 1 / 2})
    ]
    told = runsync.promotions(prod.url, "churn")
    schemas.check("promotions-report", told.to_document(), "report")
    promoted, recorded = told.records
    assert (promoted.action, recorded.action, recorded.version) == ("promoted", "refused", None)
    assert recorded.gates[0].told == refused.gates[0].told
    assert (prod.versions, runsync.show_model(prod.url, "churn").aliases) == (1, {"champion": 1})
    forced = promote("churn/2", **gates, force="the board wants it")
    assert (forced.action, forced.promotions[0].forced) == ("promoted", "the board wants it")
    assert runsync.promotions(prod.url, "churn").records[-1].forced == "the board wants it"


def test_gates_look_at_the_run_the_version_and_the_logged_model(promote: Promote) -> None:
    expressions = ["tags.reviewed = 'yes'", "attributes.run_name = 'times 3'", "artifact.path = 'MLmodel'"]
    report = promote("churn/2", require=[*expressions, "experiment.name = 'train'"])
    assert [gate.passed for gate in report.gates] == [True] * 4
    assert promote("churn/1", require=expressions, alias="other").gates[0].passed is False


def test_an_alias_that_others_set_is_moved_only_when_that_is_said(promote: Promote, prod: Registry) -> None:
    promote("churn/1", alias="staging")
    promote("churn/2", alias="challenger")
    set_alias(prod, "champion", 1)
    refused = promote("churn/2")
    assert (refused.action, refused.exit_code) == ("refused", 4)
    assert "no promotion set it" in refused.promotions[0].error
    assert promote("churn/2", take_over=True).action == "promoted"


def test_a_refusal_is_told_in_the_summary_and_the_report(
    carried: Path, prod: Registry, runsync: Runner, tmp_path: Path
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("# before\n")
    arguments = ("promote", carried, prod.url, "churn/1", "--require", "metrics.odd > 1", "--summary", summary)
    done = runsync(*arguments, "--json")
    assert done.returncode == 4
    document = json.loads(done.stdout)
    schemas.check("promotion-report", document, "stdout")
    assert (document["action"], document["promotions"][0]["gates"][0]["ours"]) == ("refused", {"metrics.odd": "NaN"})
    text = summary.read_text()
    assert text.startswith("# before\n### Refused: `churn@champion`")
    assert "| `metrics.odd > 1` | **refused**: it has NaN for metrics.odd | NaN | – |" in text
    assert "refused  metrics.odd > 1: it has NaN for metrics.odd" in runsync(*arguments).stdout
