"""mlflow-export-import, the existing tool, as the other yardstick. It is never installed here, only used."""

import shutil
from pathlib import Path

from measure import Measured, Server, run
from workload import Workload


class Peer:
    """The console scripts of one installation, with the options they have by default: their manual calls threads
    (`--use-threads`, one an experiment) experimental."""

    def __init__(self, scripts: Path) -> None:
        self._scripts = scripts

    def export(self, source: Server, workload: Workload, folder: Path) -> Measured:
        """Exports the workload's experiments."""
        names = ",".join(workload.experiment_names())
        options = ("--experiments", names, "--output-dir", folder)
        return self._run("export-experiments", source, *options)

    def import_(self, folder: Path, target: Server) -> Measured:
        """Imports what `export` wrote."""
        return self._run("import-experiments", target, "--input-dir", folder)

    def copy_model_version(self, source: Server, target: Server, model: str) -> Measured:
        """Copies version 1 of a registered model with its run. Raises CommandFailed."""
        to = ("--dst-model", model, "--dst-experiment-name", "copied")
        uris = ("--src-registry-uri", source.url, "--dst-registry-uri", target.url)
        script = self._scripts / "copy-model-version"
        env = {"MLFLOW_TRACKING_URI": source.url, "MLFLOW_DISABLE_TELEMETRY": "true"}
        measured, _ = run([script, "--src-model", model, "--src-version", "1", *to, *uris], source, target, env=env)
        return measured

    def _run(self, script: str, server: Server, *options: object) -> Measured:
        env = {"MLFLOW_TRACKING_URI": server.url, "MLFLOW_DISABLE_TELEMETRY": "true"}
        measured, _ = run([self._scripts / script, *options], server, env=env)
        return measured


def find(given: str | None) -> Peer | None:
    """The installation whose `bin` folder was given, or else the one on the PATH, if there is any.

    Raises SystemExit when the given folder has none.
    """
    script = shutil.which("export-experiments", path=given)
    if script is None and given is not None:
        raise SystemExit(f"{given} has no export-experiments")
    return Peer(Path(script).parent) if script else None
