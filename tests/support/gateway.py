"""The AI gateway of an MLflow server: fills it, changes it, and tells what is there, without ids and times."""

import json
from typing import Any

import requests

JUDGE = {"instructions": "Is {{ outputs }} polite?", "model": "gateway:/chat"}
SERIALIZED = {"name": "judge", "mlflow_version": "3.17.2", "instructions_judge_pydantic_data": JUDGE}


class Gateway:
    """By the API of a server."""

    def __init__(self, url: str) -> None:
        self._url = url

    def call(self, method: str, path: str, **body: Any) -> Any:
        """The answer, which is none of an error."""
        given: dict[str, Any] = {"params": body} if method == "GET" else {"json": body}
        version = "2.0" if path.startswith("experiments/") else "3.0"
        answer = requests.request(method, f"{self._url}/api/{version}/mlflow/{path}", timeout=300, **given)
        assert answer.ok, answer.text
        return answer.json()

    def post(self, path: str, **body: Any) -> Any:
        """Of `/gateway`."""
        return self.call("POST", f"gateway/{path}", **body)

    def all(self, path: str, name: str) -> list[dict[str, Any]]:
        """A list of `/gateway`."""
        found: list[dict[str, Any]] = self.call("GET", f"gateway/{path}/list").get(name, [])
        return found

    def ids(self, path: str, name: str, id: str) -> dict[str, str]:
        """Of one list, by names."""
        return {one["name"]: one[id] for one in self.all(path, name)}

    @property
    def models(self) -> dict[str, str]:
        """The ids of model definitions, by their names."""
        return self.ids("model-definitions", "model_definitions", "model_definition_id")

    @property
    def endpoints(self) -> dict[str, str]:
        """The ids of endpoints, by their names."""
        return self.ids("endpoints", "endpoints", "endpoint_id")

    def secret(self, name: str, value: str, provider: str = "openai") -> str:
        """Makes one."""
        given = {"secret_name": name, "secret_value": {"api_key": value}, "provider": provider}
        id: str = self.post("secrets/create", **given)["secret"]["secret_id"]
        return id

    def model(self, name: str, model: str, secret_id: str) -> dict[str, Any]:
        """Makes a definition."""
        given = {"name": name, "provider": "openai", "model_name": model, "secret_id": secret_id, "created_by": "ada"}
        made: dict[str, Any] = self.post("model-definitions/create", **given)["model_definition"]
        return {"model_definition_id": made["model_definition_id"], "linkage_type": "PRIMARY"}

    def budget(self, amount: float, action: str, scope: str, target: str = "") -> None:
        """Makes one of a day."""
        given = {"budget_unit": "USD", "budget_amount": amount, "budget_action": action, "target_scope": scope}
        named = {"target_value": target} if target else {}
        self.post("budgets/create", **given, **named, duration={"unit": "DAYS", "value": 1})

    def fill(self, secret: str) -> None:
        """Something of everything; of what hangs off others, too."""
        key = self.secret("openai-key", secret)
        gpt, mini = self.model("gpt", "gpt-4o", key), self.model("mini", "gpt-4o-mini", key)
        fallback = {**mini, "linkage_type": "FALLBACK", "fallback_order": 1}
        routing: dict[str, Any] = {"routing_strategy": "REQUEST_BASED_TRAFFIC_SPLIT"}
        routing |= {"fallback_config": {"strategy": "SEQUENTIAL", "max_attempts": 2}}
        configs = [{**gpt, "weight": 0.7}, {**mini, "weight": 0.3}, fallback]
        chat = self.post("endpoints/create", name="chat", model_configs=configs, **routing)["endpoint"]["endpoint_id"]
        plain = self.post("endpoints/create", name="plain", model_configs=[mini], usage_tracking=False)
        self.post("endpoints/set-tag", endpoint_id=chat, key="team", value="search")
        home = self.call("POST", "experiments/create", name="guarded")["experiment_id"]
        serialized = json.dumps(SERIALIZED)
        scorer = self.call("POST", "scorers/register", experiment_id=home, name="polite", serialized_scorer=serialized)
        acting = {"action": "SANITIZATION", "action_endpoint_id": plain["endpoint"]["endpoint_id"]}
        of = {"scorer_id": scorer["scorer_id"], "scorer_version": 1, "stage": "AFTER"}
        guardrail = self.post("guardrails/create", name="be polite", **of, **acting)["guardrail"]["guardrail_id"]
        self.post("guardrails/add-to-endpoint", endpoint_id=chat, guardrail_id=guardrail, execution_order=2)
        for amount in (50, 100):
            self.budget(amount, "ALERT", "GLOBAL")
        self.budget(7.5, "REJECT", "ENDPOINT", chat)

    def change(self) -> None:
        """Something of each kind."""
        self.post("model-definitions/update", model_definition_id=self.models["gpt"], model_name="gpt-5")
        chat, plain = self.endpoints["chat"], self.endpoints["plain"]
        configs = [{"model_definition_id": self.models["gpt"], "linkage_type": "PRIMARY", "weight": 1.0}]
        self.post("endpoints/update", endpoint_id=chat, model_configs=configs)
        self.post("endpoints/set-tag", endpoint_id=chat, key="team", value="chat")
        (guardrail,) = self.all("guardrails", "guardrails")
        self.post("guardrails/add-to-endpoint", endpoint_id=plain, guardrail_id=guardrail["guardrail_id"])
        of = next(one for one in self.all("budgets", "budget_policies") if one["target_scope"] == "ENDPOINT")
        self.post("budgets/update", budget_policy_id=of["budget_policy_id"], budget_amount=9)

    @property
    def secrets(self) -> list[str]:
        """Their names."""
        return sorted(one["secret_name"] for one in self.all("secrets", "secrets"))

    def told(self, *, with_secrets: bool = True) -> dict[str, Any]:
        """All of it, with names for ids; `with_secrets` those of model definitions, too."""
        names = {id: name for name, id in {**self.endpoints, **self.models}.items()}
        experiments = self.call("GET", "experiments/search", max_results=1000)["experiments"]
        homes = {one["experiment_id"]: one["name"] for one in experiments}
        guarded = {}
        for name, id in self.endpoints.items():
            configs = self.call("GET", "gateway/guardrails/list-for-endpoint", endpoint_id=id).get("configs", [])
            guarded[name] = [(one["guardrail"]["name"], one.get("execution_order")) for one in configs]
        return {
            "models": sorted(
                (one["name"], one["model_name"], one.get("secret_name", "") if with_secrets else "")
                for one in self.all("model-definitions", "model_definitions")
            ),
            "endpoints": {one["name"]: _endpoint(one, names, homes) for one in self.all("endpoints", "endpoints")},
            "guardrails": [
                (one["name"], one["stage"], one["action"], one["action_endpoint_id"], one["scorer"]["scorer_name"])
                for one in self.all("guardrails", "guardrails")
            ],
            "guarded": guarded,
            "budgets": sorted(
                (one["budget_amount"], one["budget_action"], names.get(one.get("target_value", ""), ""))
                for one in self.all("budgets", "budget_policies")
            ),
        }


def _endpoint(one: dict[str, Any], names: dict[str, str], homes: dict[str, str]) -> dict[str, Any]:
    models = (
        (names[m["model_definition_id"]], m["linkage_type"], m["weight"], m.get("fallback_order", 0))
        for m in one["model_mappings"]
    )
    told = {name: one.get(name) for name in ("routing_strategy", "fallback_config", "usage_tracking", "tags")}
    return {**told, "models": sorted(models), "home": homes.get(one.get("experiment_id", ""))}
