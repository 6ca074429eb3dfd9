"""reproduce: a folder with the code and the software environment of a run, and a script that starts it again.

A plan says what is code, what is environment and what starts it; then the folder is written. Another kind of workspace
(notebooks, clusters) adds to the plan.
"""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from runsync.bundle.address import Access
from runsync.contract.source import Source
from runsync.contract.workbench import Clone, Workbench
from runsync.errors import ITEM_ERRORS, WrongUsage
from runsync.model.code import Code, code_of
from runsync.model.git_remote import Remote, parse_remote
from runsync.model.option import takes
from runsync.model.paths import unfit_for_folders
from runsync.model.place import Place as WorkspacePlace
from runsync.model.redact import tags_without_credentials, without_credentials
from runsync.model.run import ArtifactFile, Run
from runsync.runs.checkout import NoCheckout, check_out
from runsync.runs.environment import FILES, REQUIREMENTS, Environment, environment_of, understood
from runsync.runs.models import LONGEST_TEXT, models_of
from runsync.runs.notebook import NotebookText, notebook_of
from runsync.runs.options import ReproduceOptions
from runsync.runs.reproduce_script import PACKAGES, Start, script
from runsync.runs.workbench import ClusterPlan, reproduce_there
from runsync.transfer.find import find_run
from runsync.transfer.places import open_source
from runsync.whole_file import clear, whole_file

PARTLY_DONE = 3
RUN_FILE = "run.json"
FORMAT = "runsync-reproduced-run"


@dataclass(frozen=True, slots=True)
class Missing:
    """A part that cannot be had: which, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is code, what is environment, what starts it; `remote` is where the code is cloned from (None: nowhere)."""

    run: Run
    code: Code
    remote: Remote | None
    environment: Environment
    notebook: NotebookText | None = None
    missing: tuple[Missing, ...] = ()


@dataclass(slots=True)
class ReproduceReport:
    """`schemas/v1/reproduce-report.schema.json`. `start` is the command, in `folder`; `notes` what cannot be known.

    `notebook` and `cluster` tell what was done in a Databricks workspace; None where nothing was asked for there.
    """

    source: WorkspacePlace
    run_id: str
    run_name: str
    into: str
    dry_run: bool
    repository: str = ""
    commit: str = ""
    environment: str = ""
    environment_files: list[str] = field(default_factory=list)
    python: str = ""
    folder: str = ""
    start: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    notebook: Clone | None = None
    cluster: ClusterPlan | None = None

    @property
    def exit_code(self) -> int:
        """3 when a part could not be had; all else is written."""
        return PARTLY_DONE if self.missing else 0

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        return {"format": "runsync-reproduce-report", "version": 1, "exit_code": self.exit_code, **asdict(self)}


@takes(ReproduceOptions).two_of_three
def reproduce(where: str, run: str, into: str | Path | None = None, *, options: ReproduceOptions) -> ReproduceReport:
    """Writes a folder with the code of a run at its commit, its environment, and a reproduce.sh for both.

    `into` is new, empty, or left by a former try for the same run. `repository` (URL or path) goes before what the run
    says; `model` chooses the model whose environment is taken.

    In a Databricks workspace the notebook is cloned into `notebook_folder`, and the run's cluster is started; where it
    is gone, one of the same configuration is made, with the same libraries if `libraries`. With `notebook_only` no
    cluster is looked at. One of `into` and `notebook_folder` must be given, or both.

    Raises NothingSelected, WrongUsage.
    """
    notebook_folder, dry_run = options.notebook_folder, options.dry_run
    if into is None and not notebook_folder:
        raise WrongUsage("name a folder of this machine with --into, or one of the workspace with --notebook-folder")
    with open_source(where, "runs reproduce", access=options.access or Access(), workers=options.workers) as source:
        bench = _bench(where, source) if notebook_folder else None
        found = find_run(source, run)
        if into is not None:
            _refuse_foreign(Path(into), found)
        plan = plan_reproduce(source, found, options.repository, options.model, with_code=into is not None)
        report = _planned(source.place, plan, into, dry_run)
        if bench is not None:
            _do_there(bench, plan, report, notebook_folder, not options.notebook_only, options.libraries)
        if into is not None and not dry_run:
            _write_all(plan, Path(into), report)
        return report


def _bench(where: str, source: Source) -> Workbench:
    if source.workbench is None:
        raise WrongUsage(
            f"“{without_credentials(where)}” is no Databricks workspace, and has no notebooks to clone: leave "
            "--notebook-folder out, and name a folder with --into"
        )
    return source.workbench


def _do_there(
    bench: Workbench, plan: Plan, report: ReproduceReport, folder: str, with_cluster: bool, with_libraries: bool
) -> None:
    done = reproduce_there(bench, plan.run, plan.notebook, folder, with_cluster, with_libraries, report.dry_run)
    report.notebook, report.cluster = done.notebook, done.cluster
    report.missing += [Missing(*each) for each in done.missing if each[0] not in {m.what for m in report.missing}]
    report.notes += done.notes


def plan_reproduce(source: Source, run: Run, repository: str | None, model: str | None, with_code: bool = True) -> Plan:
    """Reads all that has to be known of a run. Raises WrongUsage for a repository that may not be used.

    Without `with_code` that is its notebook alone.
    """
    code, missing, notebook = code_of(run.tags), [], notebook_of(source, run)
    if not with_code:
        return Plan(run, code, code.remote, Environment(), notebook)
    files: tuple[ArtifactFile, ...] = ()
    try:
        files = source.artifacts(run)
    except ITEM_ERRORS as error:
        missing.append(Missing("artifacts", str(error)))
    found = models_of(source, run, files)
    missing += [Missing(f"model “{name}”", why) for name, why in found.missing]
    models = found.models if model is None else [found.choose(model, run)]
    environment, unread = environment_of(source, run, files, models)
    missing += [Missing(name, why) for name, why in unread]
    remote = code.remote
    if repository is not None:
        remote = parse_remote(str(Path(repository).resolve()) if Path(repository).exists() else repository)
    missing += _missing_code(code, remote, notebook)
    return Plan(run, code, remote, environment, notebook, tuple(missing))


def _missing_code(code: Code, remote: Remote | None, notebook: NotebookText | None) -> list[Missing]:
    missing = []
    if notebook is not None and notebook.text is None:
        missing.append(Missing("notebook", notebook.why))
    elif notebook is None and (code.notebook or code.kind == "NOTEBOOK") and not code.path:
        missing.append(Missing("notebook", "the run does not tell its path: runsync runs source tells where it is"))
    has_notebook = notebook is not None and notebook.text is not None
    if remote is None and code.refused:
        missing.append(Missing("code", code.refused))
    elif remote is None and not missing and not has_notebook:
        missing.append(Missing("code", "the run does not tell its repository: name it with --repository"))
    if not code.commit and not missing and not has_notebook:
        missing.append(Missing("code", "the run does not tell its commit"))
    if code.dirty:
        missing.append(Missing("uncommitted changes", "there were some when the run began; only the commit can be had"))
    return missing


def _planned(place: WorkspacePlace, plan: Plan, folder: str | Path | None, dry_run: bool) -> ReproduceReport:
    report = ReproduceReport(place, plan.run.run_id, plan.run.name, "" if folder is None else str(folder), dry_run)
    report.missing += plan.missing
    if plan.notebook is not None and plan.notebook.text is not None and plan.notebook.doubt:
        report.notes.append(plan.notebook.doubt)
    if plan.code.path and plan.remote:
        report.notes.append(f"the notebook is {plan.code.path} of {plan.remote.address} at {plan.code.commit or '?'}")
    if plan.remote and plan.code.commit:
        report.repository, report.commit = plan.remote.address, plan.code.commit
        if plan.code.dirty is None:
            report.notes.append("whether the code had uncommitted changes is not known")
    _tell_environment(report, plan.environment)
    return report


def _tell_environment(report: ReproduceReport, environment: Environment) -> None:
    report.environment, report.python = environment.origin, environment.python
    report.environment_files = sorted(environment.texts)


def _refuse_foreign(folder: Path, run: Run) -> None:
    """Only a folder that is new, empty, or ours for this very run is written into. Raises WrongUsage."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise WrongUsage(f"{folder} is no folder")
    if not folder.exists() or not any(folder.iterdir()):
        return
    try:
        known = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
        ours = known["format"] == FORMAT and known["run"]["run_id"] == run.run_id
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise WrongUsage(f"{folder} is not empty, and was not made for this run: name a new folder")


def _write_all(plan: Plan, folder: Path, report: ReproduceReport) -> None:
    """run.json goes first: it marks the folder as this run's, so that another try may finish it."""
    try:
        run = replace(plan.run, tags=tags_without_credentials(plan.run.tags))
        _write(report, folder, RUN_FILE, json_text({"format": FORMAT, "version": 1, "run": run.to_document()}))
        _write(report, folder, "params.json", json_text(dict(plan.run.params)))
        _write_notebook(plan, folder, report)
        _fetch_code(plan, folder, report)
        environment = _environment(plan, folder, report)
        for name, text in environment.texts.items():
            _write(report, folder, f"environment/{name}", text)
        if environment.packages:
            _write(report, folder, f"environment/{PACKAGES}", "".join(f"{line}\n" for line in environment.packages))
        start = _start(plan, folder, report)
        report.folder, report.start = start.folder, list(start.words)
        own = REQUIREMENTS if REQUIREMENTS in environment.texts else PACKAGES if environment.packages else ""
        pip = f"environment/{own}" if own else ""
        _write(report, folder, "reproduce.sh", script(plan.run.run_id, environment, start, pip))
    except OSError as error:
        raise WrongUsage(f"{folder} cannot be written: {error.strerror}") from None


def _write_notebook(plan: Plan, folder: Path, report: ReproduceReport) -> None:
    """As a file of source code, which Databricks takes as a notebook again."""
    found = plan.notebook
    if found is None or found.text is None:
        return
    name = found.file_name
    name = "notebook" + name[name.rfind(".") :] if unfit_for_folders(name) or "\\" in name else name
    _write(report, folder, f"notebook/{name}", found.text)


def _fetch_code(plan: Plan, folder: Path, report: ReproduceReport) -> None:
    if not plan.remote or not plan.code.commit:
        return
    try:
        lacking = check_out(plan.remote, plan.code.commit, folder.resolve() / "code")
    except NoCheckout as error:
        report.missing.append(Missing("code", str(error)))
    else:
        report.files.append("code")
        report.missing += [Missing("code", why) for why in lacking]


def _environment(plan: Plan, folder: Path, report: ReproduceReport) -> Environment:
    """The plan's, else what lies in the code."""
    if plan.environment.texts:
        return plan.environment
    home = _inside(folder / "code", plan.code.folder or ".")
    there = [home / name for name in FILES] if home else []
    readable = [f for f in there if f.is_file() and not f.is_symlink() and f.stat().st_size <= LONGEST_TEXT]
    texts = {file.name: file.read_text(encoding="utf-8", errors="replace") for file in readable}
    if not texts:
        report.missing.append(Missing("environment", f"neither model, run nor code has {', '.join(FILES)}"))
        return Environment()
    environment = understood("the code", texts)
    _tell_environment(report, environment)
    return environment


def _start(plan: Plan, folder: Path, report: ReproduceReport) -> Start:
    """What starts it again: an entry point of an MLflow project with its params, or a script."""
    code, params = plan.code, plan.run.params
    home = _inside(folder / "code", code.folder or ".")
    if home is None:
        return Start(params=params)
    if code.kind == "PROJECT" or code.entry_point:
        if any("\0" in text for text in (code.entry_point, *params, *params.values())):
            report.missing.append(Missing("start", "a param has a NUL character, which no command line can have"))
            return Start("project", code.folder, params=params)
        given = [word for name, value in params.items() for word in ("-P", f"{name}={value}")]
        entry = f"--entry-point={code.entry_point or 'main'}"
        words = ("python", "-m", "mlflow", "run", ".", entry, "--env-manager=local", *given)
        return Start("project", code.folder, words, params)
    path = _script_in(home, code.name)
    if path is None:
        report.missing.append(Missing("start", f"the code has no script “{code.name}”"))
        return Start(params=params)
    return Start("script", code.folder, ("sh" if path.endswith(".sh") else "python", f"./{path}"), params)


def _script_in(home: Path, name: str) -> str | None:
    """The script below the folder: the longest end of the path it had where it ran."""
    steps = PurePosixPath(name.replace("\\", "/")).parts
    for first in range(len(steps)):
        path = "/".join(steps[first:])
        file = None if unfit_for_folders(path) or not path.endswith((".py", ".sh")) else _inside(home, path)
        if file is not None and file.is_file():
            return path
    return None


def _inside(home: Path, path: str) -> Path | None:
    """What lies below a folder, when it is there and no link leads out of it."""
    if path != "." and unfit_for_folders(path):
        return None
    place = (home / path).resolve()
    return place if place.is_relative_to(home.resolve()) and place.exists() else None


def json_text(document: dict[str, Any]) -> str:
    """As it is written into the folder."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _write(report: ReproduceReport, folder: Path, name: str, text: str | bytes) -> None:
    """One file, whole or not at all."""
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.parent.resolve().is_relative_to(folder.resolve()):
        raise WrongUsage(f"{place.parent} leads out of {folder}: name a new folder")
    clear(place.parent)
    with whole_file(place) as file:
        file.write(text if isinstance(text, bytes) else text.encode(errors="backslashreplace"))
        with suppress(OSError):  # a disk without permissions
            os.fchmod(file.fileno(), 0o755 if name.endswith(".sh") else 0o644)
    report.files.append(name)
