"""What differs from workspace to workspace, and what nobody outside knows for sure: both can be chosen."""

from dataclasses import dataclass
from typing import Literal

DAY = 24 * 60 * 60
MEGABYTE = 1_000_000

Cloud = Literal["aws", "gcp", "azure", "adls"]
"""Where artifacts lie: S3, GCS, Azure blobs, or ADLS Gen2."""


@dataclass(frozen=True)
class Limits:
    """Sizes and counts beyond which a request is refused (see README.md for the sources).

    Sizes are in bytes where the name says so, else in characters; times in seconds.
    """

    batch_bytes: int = MEGABYTE
    batch_items: int = 1000
    batch_metrics: int = 1000
    batch_params: int = 100
    batch_tags: int = 100
    key: int = 250
    param_value: int = 6000
    tag_value_bytes: int = 64 << 10
    experiment_tags_per_create: int = 20
    experiment_tag_bytes: int = 64 << 10
    runs_page: int = 50_000
    runs_page_default: int = 1000
    experiments_page: int = 3000
    experiments_list_page: int = 1000
    history_page: int = 25_000
    models_page: int = 50
    search_experiments: int = 100
    bulk_runs: int = 10_000
    points_per_run: int = 1_000_000
    params_per_run: int = 1600
    tags_per_run: int = 1600
    runs_per_experiment: int = 500_000
    tags_per_experiment: int = 1000
    retention: float = 30 * DAY
    credential_paths: int = 2000
    credentials_page: int = 1000
    artifacts_page: int = 1000
    url_lifetime: float = 15 * 60
    part_minimum: int = 5 << 20
    notebook_bytes: int = 10 << 20
    dbfs_read: int = 1 << 20
    dbfs_block: int = 1 << 20
    token_lifetime: float = 3600


@dataclass(frozen=True)
class Doubts:
    """What is uncertain about the real service; a client should do well with either."""

    longs_as_text: bool = False
    """int64 in answers: as JSON numbers, or as strings as proto3 has it."""
    bulk_by_start_time: bool = False
    """Bulk deletion looks at the start time of runs instead of the time when they were made."""
    duplicate_points: bool = False
    """The same metric point sent twice is kept twice."""
    duplicate_tags: bool = False
    """`mlflow.ownerId` is told twice, as in real exports."""
    revision_exports: Literal["exact", "ignored", "refused"] = "exact"
    """Exports of a notebook's revision, which are not documented: done, answered with the last one, or refused."""
    notebook_permissions: bool = True
    """A notebook experiment has its permissions at `/permissions/notebooks/`; `/permissions/experiments/` says `{}`."""
