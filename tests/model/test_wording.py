"""One run, two runs: a noun agrees with its count wherever one is told."""

import ast
import re
from pathlib import Path

import pytest
from conftest import ROOT

from runsync.model.wording import counted, many, single

NOUNS = (
    "artifact|column|copie|difference|document|experiment|field|file|folder|item|librarie|link|lock|manifest|"
    "metric|model|notebook|param|part|permission|point|problem|registered model|request|row|run|snapshot|tag|thing|"
    "version|workspace"
)
PLURAL = re.compile(rf" (?:[a-z]+ )?(?:{NOUNS})s\b")
ALWAYS_SEVERAL = {
    "model/named.py": "means {len(found)} experiments",
    "transfer/find.py": "means {len(runs)} runs",
    "bundle/bundle.py": "means {len(found)} snapshots",
    "bundle/parts.py": "more than the",
    "workspaces/files/strays.py": "files and folders that are",
    "workspaces/rest/folders.py": "more than",
    "workspaces/arrival/experiments.py": "the target has {len(same)} experiments",
    "transfer/verify.py": "would be called",
}
"""Where a count is two or more, or a limit."""


@pytest.mark.parametrize(
    ("count", "noun", "told"),
    [(0, "run", "0 runs"), (1, "run", "1 run"), (1000, "run", "1,000 runs"), (2, "library", "2 libraries")],
)
def test_a_noun_agrees_with_its_count(count: int, noun: str, told: str) -> None:
    assert many(count, noun) == told
    assert told.endswith(counted(count, noun))
    assert counted(2, "day") == "days"
    assert counted(2, "model alias") == "model aliases"


@pytest.mark.parametrize(
    ("title", "one"),
    [
        ("deletions of experiments", "deletion of an experiment"),
        ("pieces of runs that cannot be carried", "piece of a run that cannot be carried"),
        ("runs and experiments that cannot be carried", "run or experiment that cannot be carried"),
        ("links from metric points to logged models", "link from metric points to logged models"),
        ("links to parents", "link to parents"),
        ("budget policies", "budget policy"),
        ("experiment ids", "experiment id"),
        ("experiments that the snapshot does not have", "experiment that the snapshot does not have"),
    ],
)
def test_a_title_of_several_is_told_of_one(title: str, one: str) -> None:
    assert single(title) == one


def test_no_message_puts_a_plural_behind_a_count_by_hand() -> None:
    assert [found for file in sorted((ROOT / "runsync").rglob("*.py")) for found in _by_hand(file)] == []


def _by_hand(file: Path) -> list[str]:
    """Texts such as `{count} runs`; limits, which are constants, are always several."""
    place = file.relative_to(ROOT / "runsync").as_posix()
    found = []
    for text in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.JoinedStr)):
        for value, after in zip(text.values, text.values[1:], strict=False):
            if not isinstance(value, ast.FormattedValue) or not isinstance(after, ast.Constant):
                continue
            shown, expression = ast.unparse(text), ast.unparse(value.value)
            is_count = value.format_spec is not None or "len(" in expression or "count" in expression
            is_limit = re.search(r"\b[A-Z][A-Z_]+\b", expression) is not None
            is_fine = place in ALWAYS_SEVERAL and ALWAYS_SEVERAL[place] in shown
            if is_count and not is_limit and not is_fine and PLURAL.match(str(after.value)):
                found.append(f"{place}:{text.lineno}: {shown[:120]}")
    return found
