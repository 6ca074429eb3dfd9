"""The quick way to read and write meta.yaml is the same as PyYAML's; what is not safe to read is refused."""

from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from runsync.workspaces.files import meta
from runsync.workspaces.files.layout import Broken

KEYS = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True) | st.sampled_from(["y", "on", "null", "yes", "run_id"])
HEX = st.text("0123456789abcdef", min_size=1, max_size=32)
WORDS = st.text("aeEfnoyYNO0123x:./-+_@%=#&*!|>'\"{}[], ?~\n\t\\é\u2028\x85", max_size=12)
ODD = st.sampled_from(
    [
        *("", "null", "~", "Yes", "off", "1e5", "0b01", "0b1f", "0x1f", "012", "1:30", "2021-01-01", ".5", "1_0", "="),
        *("<<", "a: b", "a #b", "- a", "a:", "file:///x/0/y", " a", "a ", "'", "''", "1.5e+3", "NULL", "a" * 130),
        "a b " * 40,
    ]
)
TEXTS = WORDS | HEX | ODD | st.text(max_size=20)
NUMBERS = st.none() | st.integers(-(2**70), 2**70)
VALUES: st.SearchStrategy[Any] = TEXTS | NUMBERS | st.builds(list) | st.dictionaries(TEXTS | KEYS, TEXTS, max_size=3)


def written(values: Any) -> bytes:
    text: str = yaml.dump(values, Dumper=yaml.CSafeDumper, default_flow_style=False, allow_unicode=True)
    return text.encode("utf-8", "surrogatepass")


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=6))
@example({"run_id": "0b01", "a": "0b1f", "b": "12e5", "c": "1f"})
@example({"tags": {"mlflow.data.context": "training", "on": "x"}})
@pytest.mark.long
def test_what_mlflow_writes_is_read_and_written_as_pyyaml_does_it(values: dict[str, Any]) -> None:
    data = written(values)
    assert meta.parse(data) == yaml.load(data, Loader=yaml.CSafeLoader)
    assert meta.dump(values) == data


LINES = st.lists(st.builds("{}: {}\n".format, KEYS, WORDS | HEX | ODD) | WORDS, min_size=1, max_size=4)


@given(LINES.map("".join))
@example("a: |\n  b\n")
@example("tags:\n  a: b\n  c: d\nx: 1\n")
@example("tags:\n  a: b\n   c\n")
@example("a: b\n  c: d\n")
def test_what_the_quick_way_understands_pyyaml_understands_alike(text: str) -> None:
    quick = meta._plain(text.encode("utf-8", "surrogatepass"))
    if quick is not None:
        assert quick == yaml.load(text, Loader=yaml.CSafeLoader)


PAIRS = zip("abcdefghijklmnop", "bcdefghijklmnopq", strict=True)
BOMB = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in PAIRS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        (BOMB, "aliases"),
        ("a: &x {b: c}\nd:\n  <<: *x\n", "aliases"),
        ("a: " + "[" * 100, "deeper"),
        ("a: " + "[" * 100_000, "maximum nesting depth"),
        ("a: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
        ("run_id: !!python/name:os.system\n", "could not determine a constructor"),
        ("a: [\n", "it is no YAML"),
        ("- a\n", "it is no mapping"),
        ("just words\n", "it is no mapping"),
        ("a: 2021-99-99\n", "it is no YAML"),
        ("a: \x00\n", "it is no YAML"),
    ],
)
def test_what_is_not_safe_or_no_yaml_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Broken, match=reason):
        meta.parse(text.encode())


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(Broken, match="it is no YAML"):
        meta.parse(b"run_name: \xff\xfe\n")
