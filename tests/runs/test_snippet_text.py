"""Snippets are code, whatever the signature is, and nothing in them that a server wrote becomes code."""

import datetime
import json
from collections.abc import Mapping
from typing import Any

import pytest

from runsync.errors import NothingSelected
from runsync.model.model_file import ModelFile, parse_model_file
from runsync.runs.snippet_text import Place, literal, pandas_code, spark_code

HOSTILE = "a'); import os; os.system('x')  #\n\"\"\""
KINDS = ["boolean", "integer", "long", "float", "double", "string", "binary", "datetime"]
NESTED = {
    "type": "array",
    "items": {"type": "object", "properties": {"x": {"type": "map", "values": {"type": "long"}}}},
}
TENSOR = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 28, 28]}}
SIGNATURES: dict[str, tuple[Mapping[str, Any], ...]] = {
    "columns": tuple({"type": kind, "name": f"{kind} `ü`"} for kind in KINDS),
    "unnamed": ({"type": "double"}, {"type": "long"}),
    "nested": ({**NESTED, "name": "deep"},),
    "tensor": (TENSOR,),
    "tensors": ({**TENSOR, "name": "left"}, {**TENSOR, "name": "right"}),
    "none": (),
    "hostile": ({"type": "string", "name": HOSTILE}, {"type": "double", "name": "`"}),
}


@pytest.mark.parametrize("name", SIGNATURES)
@pytest.mark.parametrize("place", [Place("runs:/1/m", "http://h", "team"), Place(HOSTILE, folder=HOSTILE, command="x")])
def test_the_code_compiles_for_every_kind_of_signature(name: str, place: Place) -> None:
    params = ({"name": HOSTILE, "type": "string", "default": HOSTILE},)
    file = ModelFile(("python_function",), SIGNATURES[name], (), params)
    for code in (pandas_code("A title", place, file), spark_code("A title", place, file)):
        tree = compile(code, "snippet", "exec")
        assert "system" not in tree.co_names
        assert [n for n in tree.co_names if n == "os"] == (["os"] if place.workspace else [])


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\f", "\v", "\x85", "\u2028", "\0"])
def test_an_id_or_a_path_with_a_line_end_stays_in_its_comment(end: str) -> None:
    evil = f"x{end}import os{end}os.system('x'){end}"
    for place in (Place("runs:/1/m", "http://h"), Place("x", folder=evil, command=evil)):
        for code in (pandas_code(evil, place, ModelFile(())), spark_code(evil, place, ModelFile(()))):
            assert not {"os", "system"} & set(compile(code, "snippet", "exec").co_names)


@pytest.mark.parametrize("value", [1.5, float("nan"), float("-inf"), None, [1, {"a": "b'"}], b"x", True])
def test_the_default_of_a_param_is_a_literal(value: object) -> None:
    file = ModelFile((), (), (), ({"name": "p", "default": value},))
    assert repr(eval(literal(value))) == repr(value)
    compile(pandas_code("", Place("x"), file), "snippet", "exec")


def test_a_default_that_no_code_can_stand_for_is_told() -> None:
    with pytest.raises(NothingSelected, match="no code can stand for"):
        literal(datetime.date(2026, 1, 1))


def test_a_type_nobody_knows_is_told() -> None:
    with pytest.raises(NothingSelected, match="a type that runsync does not know"):
        pandas_code("", Place("x"), ModelFile((), ({"type": "spork", "name": "a"},)))


def test_an_mlmodel_file_is_read_as_data_only() -> None:
    inputs = json.dumps([{"type": "double", "name": "a"}])
    text = f"flavors:\n  sklearn: {{}}\n  python_function: {{}}\nsignature:\n  inputs: '{inputs}'\n  params: null\n"
    assert parse_model_file(text) == ModelFile(("python_function", "sklearn"), ({"type": "double", "name": "a"},))
    for bad in ("", "[", "flavors: 3", "!!python/object/apply:os.system [x]", "flavors: {}\nsignature: {inputs: '3'}"):
        with pytest.raises(ValueError):
            parse_model_file(bad)
