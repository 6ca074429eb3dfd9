"""runsync: moves, backs up and syncs MLflow workspaces, and proves that nothing was lost.

Everything the command line does is a call here; each is imported when it is first used.

    import runsync

    report = runsync.export("http://localhost:5000", "backup")
    runsync.import_("backup", "http://localhost:5001")
    assert runsync.verify("backup", "http://localhost:5001").exit_code == 0
"""

TYPE_CHECKING = False  # typing's is the same to type checkers; importing it, or logging, costs the start of a command

if TYPE_CHECKING:
    from typing import Any

    from runsync.bundle.address import Access
    from runsync.bundle.bundle import open_bundle
    from runsync.bundle.check import CheckReport, check
    from runsync.bundle.copy import CopyReport, copy
    from runsync.bundle.forget import ForgetReport, forget
    from runsync.bundle.inspect import InspectReport, inspect
    from runsync.bundle.prune import PruneReport, prune
    from runsync.bundle.retention import Policy, Within
    from runsync.bundle.snapshots import SnapshotsReport, snapshots
    from runsync.bundle.unlock import UnlockReport, unlock
    from runsync.datasets.get import DatasetGetReport, get_dataset
    from runsync.datasets.listing import DatasetsReport, list_datasets
    from runsync.datasets.show import DatasetReport, show_dataset
    from runsync.errors import RunsyncError
    from runsync.model.finding import Finding
    from runsync.model.selection import Selection
    from runsync.models.compare import ModelsCompareReport, compare_models
    from runsync.models.get import ModelGetReport, get_model
    from runsync.models.listing import ModelsReport, list_models
    from runsync.models.show import ModelReport, show_model
    from runsync.promotion.named import promote_named
    from runsync.promotion.promote import apply_plan, promote
    from runsync.promotion.promotions import PromotionsReport, promotions
    from runsync.promotion.report import Promotion, PromotionReport
    from runsync.promotion.rollback import rollback
    from runsync.prompts.listing import PromptsReport, list_prompts
    from runsync.prompts.show import PromptReport, show_prompt
    from runsync.runs.artifacts import ArtifactsReport, GetReport, get_artifacts, list_artifacts, read_artifact
    from runsync.runs.bulk import delete_runs, restore_runs
    from runsync.runs.change import ChangeReport, How
    from runsync.runs.compare import CompareReport, compare_runs
    from runsync.runs.csv_page import write_runs_csv
    from runsync.runs.delete import delete_selected_runs
    from runsync.runs.experiments import delete_experiments, restore_experiments
    from runsync.runs.experiments_list import ExperimentReport, ExperimentsReport, list_experiments, show_experiment
    from runsync.runs.label import (
        rename_experiment,
        rename_run,
        tag_experiments,
        tag_runs,
        untag_experiments,
        untag_runs,
    )
    from runsync.runs.listing import RunsReport, list_runs, open_runs
    from runsync.runs.reproduce import ReproduceReport, reproduce
    from runsync.runs.restore import restore_selected_runs
    from runsync.runs.show import RunReport, show_run
    from runsync.runs.snippet import SnippetReport, snippet
    from runsync.runs.source import SourceReport, source_of
    from runsync.traces.delete import delete_traces
    from runsync.traces.listing import TracesReport, list_traces
    from runsync.traces.show import TraceReport, show_trace
    from runsync.transfer.diff import DiffReport, diff
    from runsync.transfer.doctor import DoctorReport, doctor
    from runsync.transfer.export import export
    from runsync.transfer.import_ import import_
    from runsync.transfer.places import open_workspace
    from runsync.transfer.repair import RepairReport, repair
    from runsync.transfer.report import TransferReport
    from runsync.transfer.sync import sync
    from runsync.transfer.verify import verify
    from runsync.transfer.verify_report import VerifyReport

__all__ = [
    "Access",
    "ArtifactsReport",
    "ChangeReport",
    "CheckReport",
    "CompareReport",
    "CopyReport",
    "DatasetGetReport",
    "DatasetReport",
    "DatasetsReport",
    "DiffReport",
    "DoctorReport",
    "ExperimentReport",
    "ExperimentsReport",
    "Finding",
    "ForgetReport",
    "GetReport",
    "How",
    "InspectReport",
    "ModelGetReport",
    "ModelReport",
    "ModelsCompareReport",
    "ModelsReport",
    "Policy",
    "Promotion",
    "PromotionReport",
    "PromotionsReport",
    "PromptReport",
    "PromptsReport",
    "PruneReport",
    "RepairReport",
    "ReproduceReport",
    "RunReport",
    "RunsReport",
    "RunsyncError",
    "Selection",
    "SnapshotsReport",
    "SnippetReport",
    "SourceReport",
    "TraceReport",
    "TracesReport",
    "TransferReport",
    "UnlockReport",
    "VerifyReport",
    "Within",
    "apply_plan",
    "check",
    "compare_models",
    "compare_runs",
    "copy",
    "delete_experiments",
    "delete_runs",
    "delete_selected_runs",
    "delete_traces",
    "diff",
    "doctor",
    "export",
    "forget",
    "get_artifacts",
    "get_dataset",
    "get_model",
    "import_",
    "inspect",
    "list_artifacts",
    "list_datasets",
    "list_experiments",
    "list_models",
    "list_prompts",
    "list_runs",
    "list_traces",
    "open_bundle",
    "open_runs",
    "open_workspace",
    "promote",
    "promote_named",
    "promotions",
    "prune",
    "read_artifact",
    "rename_experiment",
    "rename_run",
    "repair",
    "reproduce",
    "restore_experiments",
    "restore_runs",
    "restore_selected_runs",
    "rollback",
    "show_dataset",
    "show_experiment",
    "show_model",
    "show_prompt",
    "show_run",
    "show_trace",
    "snapshots",
    "snippet",
    "source_of",
    "sync",
    "tag_experiments",
    "tag_runs",
    "unlock",
    "untag_experiments",
    "untag_runs",
    "verify",
    "write_runs_csv",
]

_HOMES = {
    "Access": "runsync.bundle.address",
    "ArtifactsReport": "runsync.runs.artifacts",
    "ChangeReport": "runsync.runs.change",
    "CheckReport": "runsync.bundle.check",
    "CompareReport": "runsync.runs.compare",
    "CopyReport": "runsync.bundle.copy",
    "DiffReport": "runsync.transfer.diff",
    "DoctorReport": "runsync.transfer.doctor",
    "ExperimentReport": "runsync.runs.experiments_list",
    "ExperimentsReport": "runsync.runs.experiments_list",
    "Finding": "runsync.model.finding",
    "ForgetReport": "runsync.bundle.forget",
    "GetReport": "runsync.runs.artifacts",
    "How": "runsync.runs.change",
    "InspectReport": "runsync.bundle.inspect",
    "ModelGetReport": "runsync.models.get",
    "ModelReport": "runsync.models.show",
    "ModelsCompareReport": "runsync.models.compare",
    "ModelsReport": "runsync.models.listing",
    "PromptReport": "runsync.prompts.show",
    "PromptsReport": "runsync.prompts.listing",
    "DatasetGetReport": "runsync.datasets.get",
    "DatasetReport": "runsync.datasets.show",
    "DatasetsReport": "runsync.datasets.listing",
    "get_dataset": "runsync.datasets.get",
    "list_datasets": "runsync.datasets.listing",
    "show_dataset": "runsync.datasets.show",
    "TraceReport": "runsync.traces.show",
    "TracesReport": "runsync.traces.listing",
    "Policy": "runsync.bundle.retention",
    "Promotion": "runsync.promotion.report",
    "PromotionReport": "runsync.promotion.report",
    "PromotionsReport": "runsync.promotion.promotions",
    "PruneReport": "runsync.bundle.prune",
    "RepairReport": "runsync.transfer.repair",
    "ReproduceReport": "runsync.runs.reproduce",
    "RunReport": "runsync.runs.show",
    "RunsReport": "runsync.runs.listing",
    "RunsyncError": "runsync.errors",
    "Selection": "runsync.model.selection",
    "SnapshotsReport": "runsync.bundle.snapshots",
    "SnippetReport": "runsync.runs.snippet",
    "SourceReport": "runsync.runs.source",
    "TransferReport": "runsync.transfer.report",
    "UnlockReport": "runsync.bundle.unlock",
    "VerifyReport": "runsync.transfer.verify_report",
    "Within": "runsync.bundle.retention",
    "apply_plan": "runsync.promotion.promote",
    "check": "runsync.bundle.check",
    "compare_models": "runsync.models.compare",
    "compare_runs": "runsync.runs.compare",
    "copy": "runsync.bundle.copy",
    "delete_experiments": "runsync.runs.experiments",
    "delete_runs": "runsync.runs.bulk",
    "delete_selected_runs": "runsync.runs.delete",
    "delete_traces": "runsync.traces.delete",
    "diff": "runsync.transfer.diff",
    "doctor": "runsync.transfer.doctor",
    "export": "runsync.transfer.export",
    "forget": "runsync.bundle.forget",
    "get_artifacts": "runsync.runs.artifacts",
    "get_model": "runsync.models.get",
    "import_": "runsync.transfer.import_",
    "inspect": "runsync.bundle.inspect",
    "list_artifacts": "runsync.runs.artifacts",
    "list_experiments": "runsync.runs.experiments_list",
    "list_models": "runsync.models.listing",
    "list_prompts": "runsync.prompts.listing",
    "list_traces": "runsync.traces.listing",
    "list_runs": "runsync.runs.listing",
    "open_bundle": "runsync.bundle.bundle",
    "open_runs": "runsync.runs.listing",
    "open_workspace": "runsync.transfer.places",
    "promote": "runsync.promotion.promote",
    "promote_named": "runsync.promotion.named",
    "promotions": "runsync.promotion.promotions",
    "prune": "runsync.bundle.prune",
    "read_artifact": "runsync.runs.artifacts",
    "rename_experiment": "runsync.runs.label",
    "rename_run": "runsync.runs.label",
    "repair": "runsync.transfer.repair",
    "reproduce": "runsync.runs.reproduce",
    "restore_experiments": "runsync.runs.experiments",
    "restore_runs": "runsync.runs.bulk",
    "restore_selected_runs": "runsync.runs.restore",
    "rollback": "runsync.promotion.rollback",
    "show_experiment": "runsync.runs.experiments_list",
    "show_model": "runsync.models.show",
    "show_prompt": "runsync.prompts.show",
    "show_trace": "runsync.traces.show",
    "show_run": "runsync.runs.show",
    "snapshots": "runsync.bundle.snapshots",
    "snippet": "runsync.runs.snippet",
    "source_of": "runsync.runs.source",
    "sync": "runsync.transfer.sync",
    "tag_experiments": "runsync.runs.label",
    "tag_runs": "runsync.runs.label",
    "unlock": "runsync.bundle.unlock",
    "untag_experiments": "runsync.runs.label",
    "untag_runs": "runsync.runs.label",
    "verify": "runsync.transfer.verify",
    "write_runs_csv": "runsync.runs.csv_page",
}


def __getattr__(name: str) -> "Any":
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module “runsync” has no attribute “{name}”")
    return getattr(import_module(_HOMES[name]), name)
