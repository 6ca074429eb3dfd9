"""Runs in the environment of MLflow 3: fills a workspace with the smaller kinds of objects, changes them, and tells
them by MLflow's own client.

`fill URI`, `change URI`, `read URI`: the last line printed is JSON. What `read` tells has no ids and no times.
"""

import json
import sys
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities.issue import IssueSeverity, IssueStatus
from mlflow.entities.mcp_server import MCPStatus, MCPTool
from mlflow.genai.label_schemas import InputCategorical, InputNumeric, InputPassFail, InputText
from mlflow.tracking._tracking_service.utils import _get_store


def judge(instructions: str) -> str:
    """A scorer as MLflow serializes it."""
    data = {"instructions": instructions, "model": "openai:/gpt-4o"}
    return json.dumps({"name": "judge", "mlflow_version": "3.17.2", "instructions_judge_pydantic_data": data})


def fill(uri: str) -> None:
    """Two experiments, one of which is deleted later, with objects of each kind."""
    mlflow.set_tracking_uri(uri)
    client, store = MlflowClient(), _get_store()
    home = client.create_experiment("judged")
    for text in ("Is {{ outputs }} polite?", "Is {{ outputs }} very polite?", "Is {{ outputs }} rude?"):
        store.register_scorer(home, "politeness", judge(text))
    store.delete_scorer(home, "politeness", 2)
    store.register_scorer(home, "tone", judge("Is {{ outputs }} friendly?"))
    store.upsert_online_scoring_config(home, "tone", 0.0, "trace.status = 'OK'")
    _issues(store, home, client)
    _review(store, home)
    _mcp(store)
    print(json.dumps({"experiment": home}))


def _issues(store: Any, home: str, client: MlflowClient) -> None:
    """One that a run found, and one of which nothing is known but its name."""
    run = client.create_run(home, run_name="look").info.run_id
    causes, kinds = ["the prompt", "växt"], ["safety"]
    severe, found = IssueSeverity.HIGH, {"source_run_id": run, "categories": kinds, "created_by": "ada"}
    store.create_issue(home, "It lies", "Often", IssueStatus.PENDING, severe, causes, **found)
    store.create_issue(home, "It lies", "Seldom")


def _review(store: Any, home: str) -> None:
    """A question of each kind, and two queues."""
    asked = {
        "polite": ("feedback", InputPassFail("Yes", "No")),
        "colour": ("expectation", InputCategorical(["red", "grün"], multi_select=True)),
        "score": ("feedback", InputNumeric(0.0, 10.0)),
        "why": ("feedback", InputText(max_length=100)),
    }
    made = {}
    for name, (type, input) in asked.items():
        extra = {"instruction": f"About {name}", "enable_comment": name == "why"}
        made[name] = store.create_label_schema(home, name=name, type=type, input=input, **extra).schema_id
    store.list_label_schemas(home)
    mlflow.set_experiment(experiment_id=home)
    traces = []
    for number in range(3):
        with mlflow.start_span(f"ask {number}") as span:
            traces.append(span.trace_id)
    mlflow.flush_trace_async_logging()
    schemas, users = [made["polite"], made["why"]], ["ada", "bob"]
    queue = store.create_review_queue(home, name="First", queue_type="custom", users=users, schema_ids=schemas)
    store.get_or_create_user_queue(home, user="ada")
    store.add_items_to_review_queue(queue.queue_id, item_ids=traces)
    for trace, status in zip(traces, ("complete", "declined"), strict=False):
        store.set_review_queue_item_status(queue.queue_id, item_id=trace, status=status, completed_by="bob")


def _mcp(store: Any) -> None:
    """A server with everything, and one with nothing but its name."""
    name, tools = "com.example/search", [MCPTool("find", "Find", input_schema={"type": "object"})]
    store.create_mcp_server(name, "Finds things", [{"src": "https://1.1.1.1/icon.png"}])
    store.update_mcp_server(name, display_name="Söök")
    for version, status in (("1.0.0-rc.2", "draft"), ("1.0.0", "active"), ("1.1.0", "active")):
        told = {"name": name, "version": version, "description": f"Finds {version}"}
        store.create_mcp_server_version(told, "https://example.com", MCPStatus(status), tools)
    store.update_mcp_server_version(name, "1.0.0", status=MCPStatus.DEPRECATED)
    store.set_mcp_server_tag(name, "team", "search")
    store.set_mcp_server_version_tag(name, "1.1.0", "tested", "yes")
    store.set_mcp_server_alias(name, "production", "1.0.0")
    store.create_mcp_access_endpoint(name, "https://1.1.1.1/mcp", server_version="1.1.0")
    store.create_mcp_access_endpoint(name, "https://1.1.1.1/prod", server_alias="production")
    store.create_mcp_server("com.example/empty")


def change(uri: str) -> None:
    """Something of each kind is changed, and something is new."""
    mlflow.set_tracking_uri(uri)
    store = _get_store()
    home = MlflowClient().get_experiment_by_name("judged").experiment_id
    store.register_scorer(home, "politeness", judge("Is {{ outputs }} polite, really?"))
    store.register_scorer(home, "brevity", judge("Is {{ outputs }} short?"))
    issue = next(one for one in store.search_issues(home) if one.description == "Often")
    store.update_issue(issue.issue_id, IssueStatus.RESOLVED, "It lied", "Once")
    store.create_issue(home, "It is slow", "Always")
    schemas = {one.name: one.schema_id for one in store.list_label_schemas(home)}
    store.update_label_schema(schemas["score"], name="mark", input=InputNumeric(1.0, None))
    store.create_label_schema(home, name="new", type="feedback", input=InputText())
    queue = next(one for one in store.list_review_queues(home) if one.name == "First")
    waiting = store.list_review_queue_items(queue.queue_id, status="pending")[0].item_id
    store.set_review_queue_item_status(queue.queue_id, item_id=waiting, status="complete", completed_by="ada")
    store.update_review_queue(queue.queue_id, users=["ada"], name="First of all")
    store.set_mcp_server_alias("com.example/search", "production", "1.1.0")
    store.update_mcp_server_version("com.example/search", "1.0.0-rc.2", status=MCPStatus.ACTIVE)
    store.create_mcp_server("com.example/new", "New")
    print("{}")


def read(uri: str) -> None:
    """All of them."""
    mlflow.set_tracking_uri(uri)
    store = _get_store()
    home = MlflowClient().get_experiment_by_name("judged").experiment_id
    print(
        json.dumps(
            {"scorers": scorers(store, home), "issues": issues(store, home), **review(store, home), "mcp": mcp(store)}
        )
    )


def scorers(store: Any, home: str) -> Any:
    """Their versions by number, and what they score online."""
    found = {}
    for last in store.list_scorers(home):
        versions = store.list_scorer_versions(home, last.scorer_name)
        online = store.get_online_scoring_configs([last.scorer_id])
        found[last.scorer_name] = {
            "versions": {str(one.scorer_version): one._serialized_scorer for one in versions},
            "online": [[one.sample_rate, one.filter_string] for one in online],
        }
    return found


def issues(store: Any, home: str) -> Any:
    """All that they say; of the run that found one its name."""
    names = {run.info.run_id: run.info.run_name for run in MlflowClient().search_runs([home])}
    found = []
    for one in store.search_issues(home):
        said = [one.name, one.description, str(one.status), str(one.severity), one.root_causes, one.categories]
        found.append([*said, one.created_by, names.get(one.source_run_id)])
    return sorted(found, key=str)


def review(store: Any, home: str) -> Any:
    """Questions by name, queues with the names of their questions and the states of their items."""
    schemas = store.list_label_schemas(home)
    names = {one.schema_id: one.name for one in schemas}
    queues = {}
    for queue in store.list_review_queues(home):
        items = store.list_review_queue_items(queue.queue_id)
        queues[queue.name] = {
            "type": str(queue.queue_type),
            "users": queue.users,
            "questions": sorted(names.get(id, id) for id in queue.schema_ids),
            "items": sorted([one.item_id, str(one.status), one.completed_by] for one in items),
        }
    told = {
        one.name: [str(one.type), repr(one.input), one.instruction, one.enable_comment, one.is_default]
        for one in schemas
    }
    return {"schemas": told, "queues": queues}


def mcp(store: Any) -> Any:
    """MCP servers, with their versions and endpoints."""
    found = {}
    for server in store.search_mcp_servers():
        versions = store.search_mcp_server_versions(server.name)
        endpoints = store.search_mcp_access_endpoints(server_name=server.name)
        found[server.name] = {
            "said": [server.display_name, server.description, server.icons, server.tags, server.aliases],
            "versions": {
                one.version: [one.server_json, str(one.status), repr(one.tools), one.source, one.tags]
                for one in versions
            },
            "endpoints": sorted([one.url, one.server_version, one.server_alias] for one in endpoints),
        }
    return found


if __name__ == "__main__":
    {"fill": fill, "change": change, "read": read}[sys.argv[1]](*sys.argv[2:])
