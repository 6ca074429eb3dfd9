"""The suite that every backend passes: see docs/adding-a-backend.md. It needs pytest."""

import pytest

for _module in ("source_suite", "target_suite", "editor_suite", "subject"):
    pytest.register_assert_rewrite(f"runsync.testing.{_module}")

from runsync.testing.editor_suite import EditorSuite  # noqa: E402
from runsync.testing.source_suite import SourceSuite  # noqa: E402
from runsync.testing.specimen import Specimen  # noqa: E402
from runsync.testing.subject import Subject  # noqa: E402
from runsync.testing.target_suite import TargetSuite  # noqa: E402

__all__ = ["EditorSuite", "SourceSuite", "Specimen", "Subject", "TargetSuite"]
