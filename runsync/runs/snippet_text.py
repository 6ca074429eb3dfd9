"""Python code that loads a model and predicts, with data that fits the model's signature.

Whatever comes from a server stands in the code as a literal (see `literal`) or in a comment of one line (see
`_comment`), so that it cannot become code.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runsync.errors import NothingSelected
from runsync.model.model_file import Json, ModelFile
from runsync.model.printable import printable

EXAMPLES: dict[str, str] = {
    "boolean": "True",
    "integer": "1",
    "long": "1",
    "float": "1.0",
    "double": "1.0",
    "string": "'text'",
    "binary": "b'bytes'",
    "datetime": "pd.Timestamp('2026-01-01')",
    "any": "'text'",
}
DTYPES = {"boolean": "bool", "integer": "int32", "long": "int64", "float": "float32", "double": "float64"}
SPARK = {"integer": "int", "long": "bigint", "datetime": "timestamp", "any": "string"}
RESULTS = ("boolean", "integer", "long", "float", "double", "string")
OWN_DATA = "# An example of the right shape: put your own data here."


@dataclass(frozen=True, slots=True)
class Place:
    """Where the code loads the model from: a URI on a server, or files (`folder`) that `command` fetches."""

    uri: str
    server: str = ""
    workspace: str = ""
    folder: str = ""
    command: str = ""


def pandas_code(title: str, place: Place, file: ModelFile) -> str:
    """For pandas."""
    library = "import numpy as np" if _has_tensors(file) else "import pandas as pd"
    lines = [*_imports(place, library), "", *_load(title, place)]
    lines += [f"model = mlflow.pyfunc.load_model({_uri(place)})", "", *_data(file)]
    params = _params(file)
    lines += ["", f"print(model.predict(data{f', params={params}' if params else ''}))"]
    return "\n".join(lines) + "\n"


def spark_code(title: str, place: Place, file: ModelFile) -> str:
    """For Spark, as a function over columns."""
    columns, params = _columns(file), _params(file)
    used = ["import pandas as pd"] if any("pd." in value for _, value, _ in columns) else []
    used += ["from pyspark.sql import SparkSession", "from pyspark.sql import functions as F"]
    lines = [*_imports(place, *used), "", *_load(title, place), "spark = SparkSession.builder.getOrCreate()"]
    asked = [f"result_type={_result(file)!r}"] + ([f"params={params}"] if params else [])
    lines += [f"predict = mlflow.pyfunc.spark_udf(spark, {_uri(place)}, {', '.join(asked)})", "", *_remark(file)]
    lines += ["rows = [(", *(f"    {value}," for _, value, _ in columns), ")]"]
    schema = ", ".join(f"{_backticked(name)} {kind}" for name, _, kind in columns)
    lines += [f"data = spark.createDataFrame(rows, {schema!r})"]
    lines += [f"columns = [F.col(name) for name in {[_backticked(name) for name, _, _ in columns]!r}]"]
    whole = "*columns" if _is_one_tensor(file) else "F.struct(*columns)"
    lines += [f"data.withColumn('prediction', predict({whole})).show()"]
    return "\n".join(lines) + "\n"


def _imports(place: Place, *wanted: str) -> Iterator[str]:
    if place.workspace:
        yield "import os"
    if place.folder:
        yield "from pathlib import Path"
    yield "import mlflow"
    yield from wanted


def _load(title: str, place: Place) -> Iterator[str]:
    yield _comment(title)
    if place.folder:
        yield "# The model is loaded from files; fetch them first:"
        yield _comment(f"  {place.command}")
        yield f"folder = next(Path({place.folder!r}).rglob('MLmodel')).parent.resolve()"
        return
    yield f"mlflow.set_tracking_uri({place.server!r})"
    if place.workspace:
        yield f"os.environ['MLFLOW_WORKSPACE'] = {place.workspace!r}"


def _comment(text: str) -> str:
    """A comment that ends with its line: Python ends one at \\r too, which a text may have."""
    return f"# {printable(text)}"


def literal(value: Any) -> str:
    """Python code for what a YAML or JSON file says. Raises NothingSelected for a date or the like."""
    if value is None or isinstance(value, bool | int | str | bytes):
        return repr(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else f"float({str(value)!r})"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(name)}: {literal(inner)}" for name, inner in value.items()) + "}"
    raise NothingSelected(f"the model's signature has a value that no code can stand for: {value!r}")


def _uri(place: Place) -> str:
    return "str(folder)" if place.folder else repr(place.uri)


def _remark(file: ModelFile) -> Iterator[str]:
    yield (
        OWN_DATA if file.inputs else "# The model has no signature: what columns it wants is not known. " + OWN_DATA[2:]
    )


def _data(file: ModelFile) -> Iterator[str]:
    yield from _remark(file)
    columns = _columns(file)
    if _is_one_tensor(file) and "name" not in file.inputs[0]:
        yield f"data = {_tensor(file.inputs[0])}"
    elif _has_tensors(file):
        yield "data = {"
        yield from (f"    {str(spec['name'])!r}: {_tensor(spec)}," for spec in file.inputs)
        yield "}"
    elif file.inputs and "name" not in file.inputs[0]:
        yield f"data = pd.DataFrame([[{', '.join(value for _, value, _ in columns)}]])"
        dtypes = [DTYPES.get(str(spec.get("type"))) for spec in file.inputs]
        changed = {number: dtype for number, dtype in enumerate(dtypes) if dtype}
        yield from ([f"data = data.astype({changed!r})"] if changed else [])
    else:
        yield "data = pd.DataFrame({"
        yield from (f"    {name!r}: [{value}]," for name, value, _ in columns)
        yield "})"
        changed_names = {str(s["name"]): DTYPES[s["type"]] for s in file.inputs if s.get("type") in DTYPES}
        yield from ([f"data = data.astype({changed_names!r})"] if changed_names else [])


def _columns(file: ModelFile) -> list[tuple[str, str, str]]:
    """Name, example and Spark type of every input."""
    if not file.inputs:
        return [("column", "1.0", "double")]
    return [
        (str(spec.get("name", number)), *_example(spec)) if spec.get("type") != "tensor" else _flat(spec, number)
        for number, spec in enumerate(file.inputs)
    ]


def _example(spec: Any) -> tuple[str, str]:
    """An example of a type, which may be made of others, and its type in Spark. Raises NothingSelected."""
    kind = spec.get("type") if isinstance(spec, dict) else None
    if kind == "array" and "items" in spec:
        value, inner = _example(spec["items"])
        return f"[{value}]", f"array<{inner}>"
    if kind == "map" and "values" in spec:
        value, inner = _example(spec["values"])
        return f"{{'key': {value}}}", f"map<string,{inner}>"
    if kind == "object" and isinstance(spec.get("properties"), dict):
        parts = {str(name): _example(below) for name, below in spec["properties"].items()}
        values = ", ".join(f"{name!r}: {value}" for name, (value, _) in parts.items())
        fields = ",".join(f"{_backticked(name)}:{inner}" for name, (_, inner) in parts.items())
        return f"{{{values}}}", f"struct<{fields}>"
    if not isinstance(kind, str) or kind not in EXAMPLES:
        raise NothingSelected(f"the model's signature has a type that runsync does not know: {kind!r}")
    return EXAMPLES[kind], SPARK.get(kind, kind)


def _tensor(spec: Json) -> str:
    shape, dtype = _shape(spec)
    return f"np.zeros({tuple(max(size, 1) for size in shape)!r}, dtype={dtype!r})"


def _shape(spec: Json) -> tuple[list[int], str]:
    inner = spec.get("tensor-spec", {})
    return [int(size) for size in inner.get("shape", [-1])], str(inner.get("dtype", "float64"))


def _flat(spec: Json, number: int) -> tuple[str, str, str]:
    """A row of a tensor as an array in one column: spark_udf takes it so, and shapes it."""
    shape, dtype = _shape(spec)
    size = 1
    for each in shape[1:]:
        size *= max(each, 1)
    inner = {"float32": "float", "int32": "int", "int64": "bigint", "bool": "boolean"}.get(dtype, "double")
    value = {"int": "0", "bigint": "0", "boolean": "False"}.get(inner, "0.0")
    return str(spec.get("name", f"input_{number}")), f"[{value}] * {size}", f"array<{inner}>"


def _params(file: ModelFile) -> str:
    """The params of the signature with their defaults."""
    return literal({str(p["name"]): p.get("default") for p in file.params if "name" in p}) if file.params else ""


def _result(file: ModelFile) -> str:
    kind = file.outputs[0].get("type") if len(file.outputs) == 1 else None
    return str(kind) if kind in RESULTS else "double"


def _has_tensors(file: ModelFile) -> bool:
    return any(spec.get("type") == "tensor" for spec in file.inputs)


def _is_one_tensor(file: ModelFile) -> bool:
    return len(file.inputs) == 1 and _has_tensors(file)


def _backticked(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
