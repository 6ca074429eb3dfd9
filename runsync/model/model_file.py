"""What an MLmodel file says of a model: flavours, and the signature with which it wants to be asked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PYTHON_FUNCTION = "python_function"
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ModelFile:
    """`inputs`, `outputs` and `params` are the signature's; empty where the model has none."""

    flavors: tuple[str, ...]
    inputs: tuple[Json, ...] = ()
    outputs: tuple[Json, ...] = ()
    params: tuple[Json, ...] = ()


def parse_model_file(text: str) -> ModelFile:
    """Reads an MLmodel file. Raises ValueError when it is none."""
    document = parse_yaml(text)
    if not isinstance(document, dict) or not isinstance(document.get("flavors"), dict):
        raise ValueError("it lists no flavours")
    signature = document.get("signature") or {}
    if not isinstance(signature, dict):
        raise ValueError("its signature is no mapping")
    parts = (_specs(signature.get(name)) for name in ("inputs", "outputs", "params"))
    return ModelFile(tuple(sorted(map(str, document["flavors"]))), *parts)


def parse_yaml(text: str) -> Any:
    """The document that a YAML text is. Raises ValueError."""
    import yaml

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"it is no YAML: {' '.join(str(error).split())}") from None


def _specs(value: Any) -> tuple[Json, ...]:
    """A part of a signature: MLflow keeps it as JSON in a string."""
    specs = json.loads(value, parse_constant=lambda _: None) if isinstance(value, str) else value
    if specs is None:
        return ()
    if not isinstance(specs, list) or not all(isinstance(spec, dict) for spec in specs):
        raise ValueError("its signature is not as MLflow writes it")
    return tuple(specs)
