"""The alert rules of the examples fire for what runsync really writes, and for nothing else."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, Runner
from prometheus_client.parser import text_string_to_metric_families
from support.damage import flip, one_of
from support.memory import export_into

from runsync.cli import metrics
from runsync.testing.memory import small_source

RULES = ROOT / "examples" / "prometheus" / "runsync-alerts.yml"
PROMTOOL = shutil.which("promtool") or shutil.which("promtool", path=ROOT / ".venvs" / "promtool" / "bin")
HOUR = 3600
NOW = 20 * 24 * HOUR
"""When the rules are evaluated, in seconds: times of the files are moved there."""
TOO_OLD, NEVER_STARTED, NOT_CHECKED = "MlflowBackupTooOld", "MlflowBackupNeverStarted", "MlflowBackupNotChecked"
FAILED = "RunsyncFailed"


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def firing(tmp_path: Path, files: Iterable[Path], since: float = 0) -> dict[str, str]:
    """The alerts that fire so many seconds after those files were written, with the target that each names."""
    assert PROMTOOL is not None
    shutil.copy(RULES, tmp_path / "rules.yml")
    series = [sample for file in files for sample in _samples(file, since)]
    test = {
        "interval": "1h",
        "input_series": series,
        # None is expected, so that those that fire are told.
        "alert_rule_test": [{"eval_time": f"{NOW}s", "alertname": r["alert"], "exp_alerts": []} for r in rules()],
    }
    asked = {"rule_files": ["rules.yml"], "evaluation_interval": "1h", "tests": [test]}
    (tmp_path / "test.yml").write_text(json.dumps(asked))
    done = subprocess.run([PROMTOOL, "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True)
    told = done.stdout + done.stderr
    assert ("SUCCESS" in told) is (done.returncode == 0), told
    labels = [dict(re.findall(r'(\w+)="([^"]*)"', line)) for line in told.splitlines() if "Labels:" in line]
    assert bool(labels) is bool(done.returncode), told
    return {label["alertname"]: label.get("target", "") for label in labels}


def _samples(file: Path, since: float) -> list[dict[str, str]]:
    families = list(text_string_to_metric_families(file.read_text()))
    (written,) = {s.value for f in families for s in f.samples if s.name == "runsync_last_run_timestamp_seconds"}
    series = []
    for sample in (sample for family in families for sample in family.samples):
        value = sample.value
        if value and sample.name.endswith("timestamp_seconds"):
            value += NOW - since - written
        labels = ",".join(f"{name}={json.dumps(label)}" for name, label in sample.labels.items())
        series.append({"series": f"{sample.name}{{{labels}}}", "values": f"{value}+0x{NOW // HOUR + 1}"})
    return series


needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool on this machine")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    export_into(tmp_path / "bundle", small_source())
    return tmp_path / "bundle"


def test_every_number_that_a_rule_asks_for_is_one_that_runsync_writes() -> None:
    asked = {name for rule in rules() for name in re.findall(r"runsync_(\w+)", rule["expr"])}
    assert asked
    assert asked <= metrics.NAMES


def test_the_rule_in_the_readme_of_the_examples_is_the_one_of_the_file() -> None:
    assert rules()[0]["expr"] in (ROOT / "examples" / "README.md").read_text()


@needs_promtool
def test_the_rules_are_valid() -> None:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, "check", "rules", RULES], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_a_backup_that_never_succeeded_is_told(tmp_path: Path, runsync: Runner) -> None:
    prom = tmp_path / "export.prom"
    patience = {"RUNSYNC_PATIENCE": "0.2"}
    done = runsync("export", "http://127.0.0.1:9", "nightly", "--metrics-file", prom, env=patience)
    assert done.returncode == 13
    told = firing(tmp_path, [prom])
    assert told[TOO_OLD] == "nightly"
    assert told[FAILED] == "nightly"
    assert NEVER_STARTED not in told


@needs_promtool
def test_a_backup_that_was_never_started_is_told(tmp_path: Path) -> None:
    assert firing(tmp_path, []) == {NEVER_STARTED: ""}


@needs_promtool
def test_a_backup_that_left_something_behind_is_told(tmp_path: Path, runsync: Runner) -> None:
    shutil.copytree(ROOT / "examples" / "mlruns", tmp_path / "mlruns")
    next((tmp_path / "mlruns").glob("*/*/params/*")).write_bytes(b"\xff")
    prom = tmp_path / "export.prom"
    assert runsync("export", tmp_path / "mlruns", "nightly", "--metrics-file", prom).returncode == 3
    told = firing(tmp_path, [prom])
    assert (told[TOO_OLD], told[FAILED]) == ("nightly", "nightly")


@needs_promtool
def test_a_complete_backup_is_no_alert_until_it_is_too_old(tmp_path: Path, runsync: Runner) -> None:
    prom = tmp_path / "export.prom"
    assert runsync("export", ROOT / "examples" / "mlruns", "nightly", "--metrics-file", prom).returncode == 0
    assert firing(tmp_path, [prom], since=35 * HOUR) == {}
    assert firing(tmp_path, [prom], since=37 * HOUR) == {TOO_OLD: "nightly"}


@needs_promtool
def test_a_check_that_finds_damage_is_told_and_is_no_check(bundle: Path, tmp_path: Path, runsync: Runner) -> None:
    prom = tmp_path / "check.prom"
    assert runsync("check", bundle, "--metrics-file", prom).returncode == 0
    assert firing(tmp_path, [prom]) == {NEVER_STARTED: ""}
    flip(one_of(bundle, "blob"), 5)
    assert runsync("check", bundle, "--metrics-file", prom).returncode == 12
    assert firing(tmp_path, [prom]) == {NEVER_STARTED: "", FAILED: str(bundle)}
    assert firing(tmp_path, [prom], since=10 * 24 * HOUR)[NOT_CHECKED] == str(bundle)
