"""The examples of a nightly backup can be read, and every runsync command line in them works against real servers."""

import configparser
import os
import shlex
import subprocess
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, Runner, executable
from prometheus_client.parser import text_string_to_metric_families
from support.command_line import Result
from support.forks import clean_environment
from support.s3 import KEYS, Bucket
from support.secrets import SEARCH
from support.seed import Seeder
from support.servers import MlflowServer

EXAMPLES = ROOT / "examples"
CRON, SYSTEMD = EXAMPLES / "cron" / "crontab", EXAMPLES / "systemd"
KUBERNETES = EXAMPLES / "kubernetes" / "cronjob.yaml"
ACTIONS = EXAMPLES / "github-actions" / "nightly-backup.yml"
CONFIG = EXAMPLES / "cron" / "runsync.toml"
FOLDERS = {
    "/etc/runsync": "etc",
    "/var/log/runsync": "log",
    "/var/lib/node_exporter/textfile": "textfile",
    "/var/lib/runsync": "state",
}
PROFILES = ("runsync-writer", "runsync-pruner", "runsync-reader")


@dataclass
class Schedule:
    """What an example runs: shell command lines in the order of a night, with their environment."""

    commands: list[str]
    config: str
    environment: dict[str, str] = field(default_factory=dict)


def crontab_jobs() -> Iterator[tuple[list[str], str]]:
    """The five fields of time of each line, and its command as cron gives it to the shell."""
    for line in _crontab_lines():
        if "=" not in line.split()[0]:
            *when, command = line.split(maxsplit=5)
            yield when, command.replace("\\%", "%")


def _crontab_lines() -> list[str]:
    lines = CRON.read_text().splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def cron() -> Schedule:
    assignments = [line.partition("=") for line in _crontab_lines() if "=" in line.split()[0]]
    environment = {name: value for name, _, value in assignments}
    return Schedule([command for _, command in crontab_jobs()], CONFIG.read_text(), environment)


class _Unit(configparser.RawConfigParser):
    """A unit file: names keep their case, and may come again."""

    def __init__(self, place: Path) -> None:
        super().__init__(strict=False, delimiters="=", comment_prefixes="#")
        lines = place.read_text().splitlines()
        self.all = [line.partition("=")[::2] for line in lines if "=" in line and not line.startswith("#")]
        self.read_string("\n".join(lines))

    def optionxform(self, optionstr: str) -> str:
        return optionstr

    def every(self, name: str) -> list[str]:
        return [value for key, value in self.all if key == name]


def systemd() -> Schedule:
    units = [_Unit(SYSTEMD / f"runsync-{what}.service") for what in ("export", "forget", "check")]
    commands = [line.replace("%%", "%").replace("$$", "$") for unit in units for line in unit.every("ExecStart")]
    environment = dict(line.split("=", 1) for unit in units for line in unit.every("Environment"))
    return Schedule(commands, CONFIG.read_text(), environment)


def kubernetes() -> Schedule:
    config, *jobs = yaml.safe_load_all(KUBERNETES.read_text())
    commands: list[str] = []
    environment: dict[str, str] = {}
    for job in jobs:
        (container,) = _pod(job)["containers"]
        commands.append(shlex.join([*container["command"], *container["args"]]))
        environment |= {entry["name"]: entry["value"] for entry in container["env"]}
    return Schedule(commands, config["data"]["runsync.toml"], environment)


def _pod(job: Mapping[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return pod


def github_actions() -> Schedule:
    workflow = yaml.safe_load(ACTIONS.read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    commands = [step["run"] for step in steps if step.get("run", "").startswith("runsync ")]
    without_profile = "\n".join(line for line in CONFIG.read_text().splitlines() if not line.startswith("profile"))
    return Schedule(commands, without_profile, workflow["env"])


SCHEDULES = {"cron": cron, "systemd": systemd, "kubernetes": kubernetes, "github-actions": github_actions}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folders that the examples speak of, and a `runsync` to be found on the PATH."""
    for name in (*FOLDERS.values(), "bin", "tmp"):
        (tmp_path / name).mkdir()
    shim = tmp_path / "bin" / "runsync"
    # What the shell makes of a command line: the command itself then runs without a start of its own.
    shim.write_text('#!/bin/sh\nprintf "%s\\0" "$@" >"$HOME/arguments"\nenv -0 >"$HOME/environment"\n')
    shim.chmod(0o755)
    (tmp_path / "aws-config").write_text("\n".join(f"[profile {name}]\nregion = us-east-1" for name in PROFILES))
    keys = f"aws_access_key_id = {KEYS['AWS_ACCESS_KEY_ID']}\naws_secret_access_key = test"
    (tmp_path / "aws-credentials").write_text("\n".join(f"[{name}]\n{keys}" for name in PROFILES))
    return tmp_path


def here(text: str, home: Path) -> str:
    """The text with folders of this test."""
    for place, name in FOLDERS.items():
        text = text.replace(place, str(home / name))
    return text


def run(schedule: Schedule, server: str, bucket: Bucket, home: Path, runsync: Runner) -> list[Result]:
    """Every command line, with nothing changed but addresses and folders."""
    config = tomllib.loads(schedule.config)
    text = schedule.config.replace(config["workspaces"]["prod"]["uri"], server)
    text = text.replace(config["bundles"]["nightly"]["uri"], f"{bucket.url}/mlflow")
    (home / "etc" / "runsync.toml").write_text(text)
    ours = {name: here(value, home) for name, value in schedule.environment.items() if name != "PATH"}
    environment = {
        **clean_environment(),
        **bucket.environment,
        **ours,
        "RUNSYNC_CONFIG": str(home / "etc" / "runsync.toml"),
        "PROD_MLFLOW_TOKEN": "a-token",
        "AWS_CONFIG_FILE": str(home / "aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "aws-credentials"),
        "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
    }
    return [_run(here(command, home), environment, home, runsync) for command in schedule.commands]


def _run(line: str, environment: Mapping[str, str], home: Path, runsync: Runner) -> Result:
    subprocess.run(["/bin/sh", "-c", line], env=environment, cwd=home, stdin=subprocess.DEVNULL, check=True)
    *arguments, _ = (home / "arguments").read_text().split("\0")
    *variables, _ = SEARCH.holds_secrets(home / "environment").read_text().split("\0")
    return runsync(*arguments, env=dict(variable.split("=", 1) for variable in variables), cwd=home)


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with one run to back up, of its own, as all of it is backed up; its address."""
    with MlflowServer(executable("3"), folder=tmp_path_factory.mktemp("server"), gunicorn=True) as server:
        with Seeder(server.url) as seeder:
            run_id = seeder.create_run(seeder.create_experiment("model"), "run")
            seeder.put_artifact(run_id, "file.txt", b"bytes\n")
            seeder.finish(run_id)
        yield server.url


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in ("cron", "kubernetes") else pytest.mark.slow) for n in SCHEDULES]
)
def test_every_command_line_of_a_schedule_works_night_after_night(
    seeded: str, bucket: Bucket, home: Path, runsync: Runner, name: str
) -> None:
    schedule = SCHEDULES[name]()
    assert [_verb(command) for command in schedule.commands] == ["export", "forget", "check"]
    for _ in range(2):
        for command, done in zip(schedule.commands, run(schedule, seeded, bucket, home, runsync), strict=True):
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            assert done.stderr == ""
            assert "--quiet" not in command or done.stdout == ""
    keys = list(bucket.files("mlflow/"))
    assert len([key for key in keys if "/snapshots/" in key]) == 1, "nothing has changed in the second night"
    assert not [key for key in keys if "/locks/" in key]
    _assert_told(schedule, home)


def _verb(command: str) -> str:
    words = command.replace("'", " ").replace("\n", " ").split()
    return words[words.index("runsync") + 1]


def _assert_told(schedule: Schedule, home: Path) -> None:
    """What the command lines say that they leave behind is there."""
    written = sorted((home / "textfile").glob("*.prom"))
    assert len(written) == sum("--metrics-file" in command for command in schedule.commands)
    for file in written:
        families = {family.name: family for family in text_string_to_metric_families(file.read_text())}
        assert families["runsync_last_success_timestamp_seconds"].samples
    for log in [*(home / "log").iterdir(), *home.glob("*.log")]:
        ends = [line for line in log.read_text().splitlines() if "end: exit code 0" in line]
        assert len(ends) == 2 * sum("--log-file" in command for command in schedule.commands)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_asks_for_retention_a_rotating_check_and_holds_no_secret(name: str) -> None:
    schedule = SCHEDULES[name]()
    export, forget, check = schedule.commands
    assert "export prod nightly --skip-unchanged" in export
    assert "--keep-daily 7 --keep-weekly 5 --keep-monthly 12 --prune --yes" in forget
    assert "check nightly --read-data-subset week/8" in check
    secrets = {name: value for name, value in schedule.environment.items() if "TOKEN" in name or "SECRET" in name}
    assert [value for value in secrets.values() if value and "${{ secrets." not in value] == []
    assert set(tomllib.loads(schedule.config)) == {"workspaces", "bundles"}


def test_the_crontab_s_times_are_times() -> None:
    limits = [59, 23, 31, 12, 7]
    for when, _ in crontab_jobs():
        for text, most in zip(when, limits, strict=True):
            assert text == "*" or 0 <= int(text) <= most
    for line in _crontab_lines():
        assert len(line) < 1000
        assert "%" not in line.replace("\\%", ""), "cron takes a bare % for the end of the line"


def test_every_unit_has_a_timer_is_hardened_and_tells_when_it_fails() -> None:
    for what in ("export", "forget", "check"):
        service, timer = _Unit(SYSTEMD / f"runsync-{what}.service"), _Unit(SYSTEMD / f"runsync-{what}.timer")
        assert service["Service"]["Type"] == "oneshot"
        assert service["Service"]["ProtectSystem"] == "strict"
        assert service["Service"]["NoNewPrivileges"] == "yes"
        assert service["Unit"]["OnFailure"] == "runsync-alert@%n.service"
        assert timer["Timer"]["OnCalendar"]
        assert timer["Timer"]["Persistent"] == "true"
        assert timer["Install"]["WantedBy"] == "timers.target"
    assert _Unit(SYSTEMD / "runsync-alert@.service")["Service"]["ExecStart"]


def test_the_cron_jobs_of_kubernetes_never_overlap_and_have_their_own_secrets() -> None:
    config, *jobs = yaml.safe_load_all(KUBERNETES.read_text())
    assert config["kind"] == "ConfigMap"
    assert [job["kind"] for job in jobs] == ["CronJob"] * 3
    assert {job["spec"]["concurrencyPolicy"] for job in jobs} == {"Forbid"}
    secrets = [container["envFrom"][0]["secretRef"]["name"] for job in jobs for container in _pod(job)["containers"]]
    assert secrets == ["runsync-writer", "runsync-pruner", "runsync-reader"]
    for job in jobs:
        assert len(job["spec"]["schedule"].split()) == 5
        mounted: Sequence[str] = [mount["name"] for c in _pod(job)["containers"] for mount in c["volumeMounts"]]
        assert sorted(mounted) == sorted(volume["name"] for volume in _pod(job)["volumes"])
        assert _pod(job)["securityContext"]["runAsNonRoot"]


def test_the_workflow_runs_each_of_its_jobs_by_one_of_its_times() -> None:
    workflow = yaml.safe_load(ACTIONS.read_text())
    times = [entry["cron"] for entry in workflow[True]["schedule"]]  # YAML 1.1 reads “on” as true
    for job in workflow["jobs"].values():
        assert any(f"'{when}'" in job["if"] for when in times)
