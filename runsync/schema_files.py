"""The JSON Schemas that go with the package."""

from pathlib import Path


def folder() -> Path:
    """Where they lie: in the package once it is installed, beside it in a checkout."""
    packaged = Path(__file__).parent / "schemas"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "schemas"
