"""What MLflow's own servers refuse of a run, as far as that is the same in all of them: whatever their stores, 2.22 and
3.17 check it alike (`mlflow/utils/validation.py`)."""

import posixpath
import re

LONGEST_KEY = 250
_KEY = re.compile(r"[/\w.\- :]*")


def fault(key: str) -> str:
    """What is wrong with the key of a param, tag or metric; "" for nothing."""
    if len(key) > LONGEST_KEY:
        return f"its name has {len(key)} characters, and the target takes {LONGEST_KEY}"
    if not _KEY.fullmatch(key):
        return "names may only have letters, digits, blanks and “_-.:/”"
    normal = posixpath.normpath(key)
    is_path = normal != key or normal == "." or normal.startswith(("..", "/"))
    return "as a path its name would be another one" if is_path else ""


def fault_of_time(timestamp: int) -> str:
    """What is wrong with that of a metric point."""
    return "its timestamp is negative" if timestamp < 0 else ""
