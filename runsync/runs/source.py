"""source: what started a run, and where to look at it."""

from dataclasses import asdict, dataclass
from typing import Any

from runsync.bundle.address import Access
from runsync.model.code import Code, code_of
from runsync.model.place import Place as WorkspacePlace
from runsync.threads import WORKERS
from runsync.transfer.find import find_run
from runsync.transfer.places import open_source


@dataclass(frozen=True, slots=True)
class SourceReport:
    """`schemas/v1/source-report.schema.json`."""

    source: WorkspacePlace
    run_id: str
    run_name: str
    code: Code
    exit_code: int = 0

    @property
    def url(self) -> str:
        """The page to look at: the notebook's revision, else the commit (a notebook in a Git folder need not have
        revisions), else the notebook as it is now, else the repository; "" for none."""
        notebook, web = self.code.notebook, self.code.web
        page = notebook.url if notebook else ""
        at_its_revision = page if notebook and notebook.revision else ""
        return at_its_revision or web.commit or page or web.repository

    def to_document(self) -> dict[str, Any]:
        """The JSON report."""
        code, notebook = self.code, self.code.notebook
        return {
            "format": "runsync-source-report",
            "version": 1,
            "exit_code": self.exit_code,
            "source": asdict(self.source),
            "run_id": self.run_id,
            "run_name": self.run_name,
            "type": code.kind,
            "name": code.name,
            "entry_point": code.entry_point,
            "repository": code.remote.address if code.remote else "",
            "repository_refused": code.refused,
            "commit": code.commit,
            "branch": code.branch,
            "folder": code.folder,
            "path": code.path,
            "uncommitted_changes": code.dirty,
            "repository_url": code.web.repository,
            "commit_url": code.web.commit,
            "notebook": asdict(notebook) if notebook else None,
            "url": self.url,
        }


def source_of(where: str, run: str, *, access: Access | None = None, workers: int = WORKERS) -> SourceReport:
    """What started a run: notebook and revision, or script, project, repository and commit, with pages on the web.

    `where` is a workspace or bundle, `run` an id, the beginning of one, or a name. Raises NothingSelected.
    """
    with open_source(where, "runs source", access=access or Access(), workers=workers) as source:
        found = find_run(source, run)
        return SourceReport(source.place, found.run_id, found.name, code_of(found.tags))
