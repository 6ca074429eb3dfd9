"""MLflow's API within the limits of Azure ML, which refuses a request that is beyond one of them as a whole."""

from collections.abc import Mapping
from typing import Any

from runsync.errors import RequestRefused
from runsync.workspaces.http import NEEDED, Care, Client
from runsync.workspaces.http.fields import listed
from runsync.workspaces.rest.server import API

METRICS_A_REQUEST = 200
"""Of log-batch: 250 values of a metric are the limit (mlflow issue 11462), and once it was 200 in all (2441)."""

HISTORY = f"{API}/metrics/get-history"
HISTORY_PAGE = 998
"""Points: fewer than 1000 (mlflow issue 10694), and one fewer than that, to ask whether a full page is all."""


class AzureClient(Client):
    """See `Client`."""

    def get(self, path: str, /, *, care: Care = NEEDED, **parameters: Any) -> dict[str, Any]:
        """See `Client`. Raises RequestRefused where a history is cut and no further page is offered."""
        answer = super().get(path, care=care, **parameters)
        full = parameters.get("max_results", HISTORY_PAGE)
        is_full = path == HISTORY and len(listed(answer, "metrics")) >= full
        if is_full and not answer.get("next_page_token"):
            more = super().get(path, **{**parameters, "max_results": full + 1})
            if len(listed(more, "metrics")) > full:
                key = parameters["metric_key"]
                raise RequestRefused(f"metric “{key}”: Azure ML gives {full} points and no further page")
        return answer

    def post(self, path: str, body: Mapping[str, Any], retry: bool = True, *, care: Care = NEEDED) -> dict[str, Any]:
        """See `Client`. Points that are too many for one request go in several."""
        points = body.get("metrics", ()) if path == f"{API}/runs/log-batch" else ()
        for start in range(METRICS_A_REQUEST, len(points), METRICS_A_REQUEST):
            part = {"run_id": body["run_id"], "metrics": points[start : start + METRICS_A_REQUEST]}
            super().post(path, part, retry, care=care)
        rest = {**body, "metrics": points[:METRICS_A_REQUEST]} if points else body
        return super().post(path, rest, retry, care=care)
