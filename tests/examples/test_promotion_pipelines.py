"""The pipelines of examples/ci promote a model from dev to staging to prod, as their shell lines stand there."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, executable
from promotion.conftest import Registry, script
from promotion.keys import make_keys
from support.forks import clean_environment
from support.servers import MlflowServer

import runsync
from runsync.cli.root import cli

CI = ROOT / "examples" / "ci"
ACTION = CI / "github-action" / "action.yml"
WORKFLOWS = [CI / "github" / name for name in ("promote.yml", "rollback.yml")]
GITLAB, COMPONENT = CI / "gitlab" / ".gitlab-ci.yml", CI / "gitlab" / "templates" / "promote.yml"
PLACES = ("dev", "staging", "prod")


def read(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(file.read_text())
    return document


@dataclass
class Pipeline:
    """A folder with the files of a repository, a `runsync` and a `pip` to be found, and what steps gave so far."""

    folder: Path
    known: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def tokens(self) -> dict[str, str]:
        """Those that are variables of all jobs at GitLab."""
        found = {name.removeprefix("secrets."): value for name, value in self.known.items()}
        return {name: value for name, value in found.items() if name.endswith("_TOKEN")}

    def shell(self, lines: str, environment: Mapping[str, str]) -> None:
        """Runs them as the runners do."""
        ours = {name: str(self.folder / name.lower()) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        ours |= {"RUNNER_TEMP": str(self.folder / "tmp"), "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", lines],
            env={**clean_environment(), **ours, **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{lines}\n{done.stdout}{done.stderr}"

    def filled(self, text: str, more: Mapping[str, str]) -> str:
        """The text with its expressions replaced."""
        known = {**self.known, **{f"steps.promote.outputs.{k}": v for k, v in self.outputs.items()}, **more}
        return re.sub(r"\$\{\{ *([\w.-]+) *\}\}", lambda found: known[found[1]], text)

    def step(self, step: Mapping[str, Any], environment: Mapping[str, str], more: Mapping[str, str]) -> None:
        """One of a job or an action."""
        environment = {**environment, **{k: self.filled(v, more) for k, v in step.get("env", {}).items()}}
        if "run" in step:
            self.shell(self.filled(step["run"], more), environment)
        elif step["uses"].startswith("./"):
            action = read(ACTION)
            given = {name: self.filled(value, more) for name, value in step["with"].items()}
            inputs = {f"inputs.{name}": given.pop(name, "") for name in action["inputs"]}
            assert given == {}
            for each in action["runs"]["steps"]:
                self.step(each, environment, inputs)
            told = (self.folder / "github_output").read_text().splitlines()
            self.outputs = dict(line.split("=", 1) for line in told)
            assert self.outputs.keys() == action["outputs"].keys()

    def github(self, workflow: Path) -> None:
        """Its jobs, in their order."""
        for job in read(workflow)["jobs"].values():
            environment = {name: self.filled(value, {}) for name, value in job["env"].items()}
            for step in job["steps"]:
                self.step(step, environment, {})

    def gitlab(self) -> None:
        """Those of the component that it includes, in the order of their stages, and then its own."""
        pipeline = read(GITLAB)
        given = [one["inputs"] for one in pipeline["include"]]
        assert [inputs["stage"] for inputs in given] == pipeline["stages"]
        for inputs in given:
            variables = {"SIGNING_KEY": str(self.folder / "key.pem")}
            self.shell("\n".join(component(inputs)["script"]), self.tokens | variables)
            lines = (self.folder / "promotion.env").read_text().splitlines()
            self.outputs = {name.lower(): value for name, value in (line.split("=", 1) for line in lines)}
        self.known["before rollback"] = str(champion(self.known["prod"]))
        self.shell("\n".join(pipeline["rollback"]["script"]), self.tokens)


def component(inputs: Mapping[str, str]) -> dict[str, Any]:
    """The job that the component makes of inputs."""
    spec, body = COMPONENT.read_text().split("\n---\n")
    declared = yaml.safe_load(spec)["spec"]["inputs"]
    assert inputs.keys() <= declared.keys()
    values = {name: inputs.get(name, told.get("default")) for name, told in declared.items()}
    assert None not in values.values()
    text = re.sub(r"\$\[\[ inputs\.([\w-]+) \]\]", lambda found: values[found[1]], body)
    ((name, job),) = yaml.safe_load(text).items()
    assert name == inputs["job"]
    return dict(job)


def champion(url: str) -> int | None:
    return runsync.show_model(url, "churn").aliases.get("champion")


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[dict[str, MlflowServer]]:
    """Three."""
    made = {name: MlflowServer(executable("3"), folder=tmp_path / name, gunicorn=True) for name in PLACES}
    try:
        for server in made.values():
            server.start()
        for server in made.values():
            server.wait()
        yield made
    finally:
        for server in made.values():
            server.stop()


@pytest.fixture
def pipeline(servers: dict[str, MlflowServer], tmp_path: Path) -> Pipeline:
    """A candidate in dev, and a champion in prod that is not as good."""
    folder = tmp_path / "repository"
    for name in ("bin", "tmp"):
        (folder / name).mkdir(parents=True)
    runs = f'#!/bin/sh\nexec {sys.executable} -m runsync "$@"\n'
    for name, text in (("runsync", runs), ("pip", "#!/bin/sh\n"), ("apt-get", "#!/bin/sh\n")):
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    text = (CI / "runsync.toml").read_text()
    for name, told in tomllib.loads(text)["workspaces"].items():
        text = text.replace(told["uri"], servers[name].url)
    (folder / "runsync.toml").write_text(text)
    keys = make_keys(tmp_path / "keys", "not used")
    (folder / "signing.pub").write_bytes(keys.public.read_bytes())
    (folder / "key.pem").write_bytes(keys.private.read_bytes())
    script("make_candidates.py", tmp_path, servers["dev"].url, "-")
    assert runsync.promote(servers["dev"].url, servers["prod"].url, model="churn/1").version == 1
    tokens = {f"secrets.{name}": "a-token" for name in re.findall(r"secrets\.(\w+)", WORKFLOWS[0].read_text())}
    known = {**tokens, "secrets.SIGNING_KEY": keys.private.read_text(), "runner.temp": str(folder / "tmp")}
    return Pipeline(folder, known | {name: server.url for name, server in servers.items()})


@pytest.mark.slow
def test_the_workflows_bring_the_candidate_to_prod_and_take_it_back(pipeline: Pipeline, tmp_path: Path) -> None:
    prod = pipeline.known["prod"]
    pipeline.github(WORKFLOWS[0])
    assert (pipeline.outputs["action"], pipeline.outputs["version"], champion(prod)) == ("promoted", "2", 2)
    assert runsync.promotions(prod, "churn").records[-1].digest == pipeline.outputs["digest"]
    dev = Registry(pipeline.known["dev"], pipeline.known["dev"], tmp_path)
    predicted = Registry(prod, prod, tmp_path).predicts("churn@champion")
    assert list(predicted.values()) == list(dev.predicts("churn@candidate").values()) == [[4, 8]]
    pipeline.github(WORKFLOWS[1])
    assert champion(prod) == 1
    summary = (pipeline.folder / "github_step_summary").read_text()
    titles = [line for line in summary.splitlines() if line.startswith("### ")]
    assert [title.partition(":")[0] for title in titles] == [
        "### Promoted",
        "### Would be promoted",
        "### Promoted",
        "### Rolled back",
    ]


@pytest.mark.slow
def test_the_component_brings_the_candidate_to_prod_and_takes_it_back(pipeline: Pipeline, tmp_path: Path) -> None:
    prod = pipeline.known["prod"]
    pipeline.gitlab()
    assert (pipeline.outputs["action"], pipeline.outputs["version"]) == ("promoted", "2")
    assert (pipeline.known["before rollback"], champion(prod)) == ("2", 1)
    assert Registry(prod, prod, tmp_path).predicts("churn/2") == {"churn/2": [4, 8]}


def test_the_pipelines_use_options_that_exist_and_wait_for_an_approval() -> None:
    context = cli.make_context("runsync", [], resilient_parsing=True)
    promote = cli.get_command(context, "promote")
    assert promote is not None
    known = {flag for parameter in promote.params for flag in parameter.opts}
    texts = [file.read_text() for file in (ACTION, *WORKFLOWS, GITLAB, COMPONENT)]
    used = {flag for text in texts for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)}
    assert used
    assert used <= known
    jobs = read(WORKFLOWS[0])["jobs"]
    assert (jobs["plan"].get("environment"), jobs["production"]["environment"]) == (None, "production")
    assert jobs["production"]["needs"] == "plan"
    last = component(read(GITLAB)["include"][-1]["inputs"])
    assert (last["environment"], last["when"], last["allow_failure"]) == ("production", "manual", False)
    action = read(ACTION)
    (step,) = action["runs"]["steps"]
    assert len(step["env"]) == len(action["inputs"])
    assert shlex.split(component(read(GITLAB)["include"][0]["inputs"])["script"][0]) == [
        "pip",
        "install",
        "./runsync[sign]",
    ]
    promotions = tomllib.loads((CI / "runsync.toml").read_text())["promotions"]
    assert promotions.keys() == {"churn-staging", "churn-prod"}


@pytest.mark.slow
def test_the_story_of_the_docs_goes_as_it_is_told(pipeline: Pipeline) -> None:
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "docs" / "promotion.md").read_text(), re.DOTALL)
    (pipeline.folder / "signing.pem").write_bytes((pipeline.folder / "key.pem").read_bytes())
    for told in re.split(r"^\$ ", "".join(blocks), flags=re.MULTILINE)[1:]:
        line, *expected = told.splitlines()
        pipeline.shell(f"{line} >told.txt", pipeline.tokens)
        found = (pipeline.folder / "told.txt").read_text().splitlines()
        assert list(map(anonymous, found)) == list(map(anonymous, expected))


def anonymous(line: str) -> str:
    """What is the same wherever it runs."""
    return re.sub(r"https?:\S+|sha256:\w+|^\d{4}-\S+Z|by \w+$|commit \w+|[\d,]+ bytes", "…", line)
