"""Traces: searched for, and never there; this emulator keeps none."""

from typing import TYPE_CHECKING, Any

from emulators.databricks import experiments
from emulators.databricks.fields import choice, integer, many, message, text
from emulators.databricks.routing import Call, Route

if TYPE_CHECKING:
    from emulators.databricks.workspace import Databricks


def search(workspace: "Databricks", call: Call) -> dict[str, Any]:
    """No traces of experiments that are there."""
    for place in call.fields.get("locations", []):
        experiments.need(workspace, place["mlflow_experiment"]["experiment_id"])
    return {}


PLACE = message(
    "type mlflow_experiment",
    type=choice("MLFLOW_EXPERIMENT"),
    mlflow_experiment=message("experiment_id", experiment_id=text),
)
SEARCH = message(locations=many(PLACE), filter=text, max_results=integer, order_by=many(text), page_token=text)
ROUTES = (Route("POST", "/api/3.0/mlflow/traces/search", search, SEARCH, rate="traces-search"),)
