"""A Databricks workspace on loopback: its servers, its state, and what was asked of it."""

import contextlib
import email.utils
import itertools
import posixpath
import random
import secrets
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from support.secrets import SEARCH

from emulators.databricks import (
    artifacts,
    bulk,
    clouds,
    clusters,
    dbfs,
    experiments,
    files,
    jobs,
    metrics,
    models,
    notebooks,
    permissions,
    registry,
    rights,
    runs,
    search,
    traces,
    tree,
    unity,
    users,
)
from emulators.databricks.clock import Clock, RealClock
from emulators.databricks.errors import CloudRefusal, Refusal
from emulators.databricks.faults import Fault, Faults
from emulators.databricks.options import Cloud, Doubts, Limits
from emulators.databricks.pages import Pages
from emulators.databricks.rates import DOCUMENTED, Rates
from emulators.databricks.routing import Call, Route, Routes, query_of, read, render
from emulators.databricks.tree import Node
from emulators.databricks.users import Directory, User
from emulators.server import Reply, Request, Server

ROUTES: tuple[Route, ...] = (
    *users.ROUTES,
    *experiments.ROUTES,
    *runs.ROUTES,
    *metrics.ROUTES,
    *models.ROUTES,
    *search.ROUTES,
    *bulk.ROUTES,
    *artifacts.ROUTES,
    *tree.ROUTES,
    *dbfs.ROUTES,
    *files.ROUTES,
    *notebooks.ROUTES,
    *clusters.ROUTES,
    *permissions.ROUTES,
    *jobs.ROUTES,
    *registry.ROUTES,
    *unity.ROUTES,
    *traces.ROUTES,
)

NOT_SERVED = (
    "/version",
    "/health",
    "/graphql",
    "/ajax-api/",
    "/api/3.0/mlflow/server-info",
    "/api/3.0/mlflow/datasets",
    "/api/3.0/mlflow/scorers",
    "/api/3.0/mlflow/workspaces",
    "/api/2.0/mlflow/server-info",
    "/api/2.0/mlflow/metrics/get-history-bulk",
    "/api/2.0/mlflow-artifacts/",
    "/api/2.0/fs/endpoints",
)
"""How paths begin of what open-source servers have, or newer workspaces: a client may ask, and it is not there."""


@dataclass(frozen=True)
class Seen:
    """One request that was answered. `endpoint` is `METHOD /path` with `{names}`; `code` the error code, if any.

    `at` is the clock's time in seconds; requests of signed URLs have the endpoint `METHOD signed`.
    """

    at: float
    endpoint: str
    target: str
    status: int
    code: str | int | None
    user: str
    bytes_in: int
    bytes_out: int


class Databricks:
    """One workspace; `with Databricks() as workspace:` starts it and stops it.

    `url` and `token` are what a client needs (`environment` has them as variables). `rates=None` takes all limits
    away. `login_url` is where Microsoft Entra's token endpoint answers, `cloud_url` where signed URLs point to.
    """

    def __init__(
        self,
        *,
        user: str = "ana@example.com",
        cloud: Cloud = "aws",
        clock: Clock | None = None,
        limits: Limits | None = None,
        rates: Mapping[str, float] | None = DOCUMENTED,
        burst_seconds: float = 1.0,
        retry_after: bool = True,
        doubts: Doubts | None = None,
        seed: int = 0,
    ) -> None:
        self.cloud: Cloud = cloud
        self.clock: Clock = clock or RealClock()
        self.limits = limits or Limits()
        self.doubts = doubts or Doubts()
        self.rates = Rates(rates or {}, self.clock, burst_seconds, retry_after)
        self.faults = Faults(seed)
        self.requests: list[Seen] = []
        self.violations: list[str] = []
        self.workspace_id = str(random.SystemRandom().randrange(10**15, 10**16))
        self.account_id = secrets.token_hex(16)
        self.tenant = secrets.token_hex(16)
        self.azure_resource_id = f"/subscriptions/{secrets.token_hex(8)}/workspaces/{self.workspace_id}"
        self.directory = Directory()
        self.owner = self.directory.add(user, groups=("admins", "users"))
        self.token = self.directory.personal_token(self.owner)
        self.principal = self.directory.add(secrets.token_hex(16), groups=("admins", "users"), principal=True)
        self.client_id = self.principal.name
        self.client_secret = self.directory.client_secret(self.principal)
        self.pages = Pages()
        self.tree = tree.Tree(self)
        self.tracking = experiments.Tracking()
        self.storage = clouds.Storage(self)
        self.volumes = files.Volumes()
        self.dbfs = dbfs.Dbfs()
        self.clusters = clusters.Clusters()
        self.permissions: dict[tuple[str, str], permissions.Lists] = {}
        self.registry: dict[str, registry.Model] = {}
        self.unity = unity.Catalogs()
        self.job_runs: dict[int, dict[str, Any]] = {}
        self.lock = threading.RLock()
        self._ids = itertools.count(random.SystemRandom().randrange(10**14, 10**15), 7)
        self._routes = Routes(ROUTES)
        self._api = Server(self._answer_api)
        self._cloud = Server(self._answer_cloud)
        self._login = Server(self._answer_login)
        self.tree.begin()

    def __enter__(self) -> Self:
        for server in (self._api, self._cloud, self._login):
            server.start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self._api, self._cloud, self._login):
            server.stop()

    @property
    def url(self) -> str:
        """The workspace's address."""
        return self._api.url

    @property
    def cloud_url(self) -> str:
        """Where signed URLs point to."""
        return self._cloud.url

    @property
    def login_url(self) -> str:
        """Where Entra's token endpoint answers: `LOGIN_URL/TENANT/oauth2/token`."""
        return self._login.url

    @property
    def home(self) -> str:
        """The folder of the owner, without a slash at the end."""
        return f"/Users/{self.owner.name}"

    @property
    def environment(self) -> dict[str, str]:
        """What a client finds in its environment."""
        return {"DATABRICKS_HOST": self.url, "DATABRICKS_TOKEN": self.token}

    @property
    def secrets(self) -> frozenset[str]:
        """Tokens, client secrets and signatures: none of them may be seen in what a client writes."""
        return frozenset(self.directory.secrets() | self.storage.signatures() | set(self.unity.tokens))

    def add_user(self, name: str, *groups: str, entitlements: tuple[str, ...] = ()) -> tuple[User, str]:
        """Another user with a home folder, and a token of theirs."""
        user = self.directory.add(name, groups=("users", *groups), entitlements=entitlements)
        self.tree.add(f"/Users/{name}", "DIRECTORY")
        return user, self.directory.personal_token(user)

    def add_notebook(self, path: str, source: str, language: str = "PYTHON") -> Node:
        """A notebook; its folders are made."""
        with self.lock:
            return notebooks.add_notebook(self, path, source, language)

    def save_notebook(self, node: Node, source: str) -> str:
        """A new revision of a notebook: its id, as a run would name it."""
        with self.lock:
            return notebooks.save(self, node, source)

    def add_repo(self, path: str) -> Node:
        """A Git folder, as `/Repos/ana@example.com/models`; its parent is made."""
        with self.lock:
            if self.tree.get(posixpath.dirname(path)) is None:
                self.tree.add(posixpath.dirname(path), "DIRECTORY")
            return self.tree.add(path, "REPO")

    def add_volume(self, path: str) -> str:
        """A Unity Catalog volume, `/Volumes/CATALOG/SCHEMA/VOLUME`."""
        return self.volumes.add(path)

    def add_cluster(self, *, state: str = "TERMINATED", **settings: Any) -> str:
        """A cluster; returns its id."""
        return self.clusters.add(settings, self.owner.name, state).cluster_id

    def add_policy(self, name: str, *users: str) -> None:
        """A policy for clusters, which these users (and admins) may use."""
        self.clusters.policies[name] = frozenset(users)

    def milliseconds(self) -> int:
        """Now, as Databricks tells times."""
        return int(self.clock.now() * 1000)

    def new_id(self) -> int:
        """An id that nothing else in the workspace has."""
        return next(self._ids)

    def count(self, endpoint: str) -> int:
        """How often an endpoint (its path, with `{names}`) was asked."""
        return sum(each.endpoint.partition(" ")[2] == endpoint for each in self.requests)

    def violated(self, what: str) -> None:
        """Notes something that no careful client does."""
        self.violations.append(what)

    def _answer_api(self, request: Request) -> Reply:
        fault = self.faults.meet(f"{request.method} {request.target.partition('?')[0]}")
        with self.clock.working():
            return self._with_fault(fault, lambda: self._serve(request, fault))

    def _serve(self, request: Request, fault: Fault | None) -> Reply:
        path, query = query_of(request.target)
        endpoint, user = self._routes.name(request.method, path), ""
        code: str | int | None = None
        try:
            if fault and fault.kind == "status":
                raise _as_refusal(fault)
            with self.lock:
                answer = users.open_answer(self, request)
                if answer is None:
                    known = users.admit(self, request)
                    user = known.name
                    answer = self._dispatch(request, path, query, known, fault)
                reply = render(answer, self.doubts.longs_as_text)
        except Refusal as refusal:
            reply, code = self._refused(refusal, endpoint)
        except Exception:
            self.violated(f"{endpoint}: the emulator itself failed:\n{traceback.format_exc()}")
            reply, code = self._refused(Refusal("INTERNAL_ERROR", "The emulator failed"), endpoint)
        reply.headers.setdefault("X-Databricks-Org-Id", self.workspace_id)
        reply.headers.setdefault("Date", email.utils.formatdate(self.clock.now(), usegmt=True))
        seen = Seen(
            self.clock.now(), endpoint, request.target, reply.status, code, user, len(request.body), len(reply.body)
        )
        self.requests.append(seen)
        return reply

    def _dispatch(
        self, request: Request, path: str, query: Mapping[str, list[str]], user: User, fault: Fault | None
    ) -> Any:
        if path.startswith(NOT_SERVED):
            raise Refusal("ENDPOINT_NOT_FOUND", f"No API found for '{request.method} {path}'")
        route, said = self._routes.find(request.method, path)
        self.rates.take(route.rate)
        SEARCH.look(f"what {request.method} {path} sends", request.body)
        call = Call(request, path, query, read(route, request, query, said), user)
        rights.check(self, route, call)
        if fault and fault.kind == "partial":
            metrics.log_half(self, call)
            raise Refusal("INTERNAL_ERROR", fault.message)
        return route.answer(self, call)

    def _refused(self, refusal: Refusal, endpoint: str) -> tuple[Reply, str | int]:
        if refusal.violation:
            self.violated(f"{endpoint}: {refusal.message}")
        reply = render(refusal.document, False)
        return replace(reply, status=refusal.status, headers=reply.headers | refusal.headers), refusal.code

    def _answer_cloud(self, request: Request) -> Reply:
        fault = self.faults.meet(f"{request.method} {request.target.partition('?')[0]}")
        with self.clock.working():
            return self._with_fault(fault, lambda: self._serve_cloud(request, fault))

    def _serve_cloud(self, request: Request, fault: Fault | None) -> Reply:
        path, code = query_of(request.target)[0], None
        SEARCH.look(f"what {request.method} {path} stores", request.body)
        try:
            if fault and fault.kind == "status":
                raise CloudRefusal(fault.status, fault.code, fault.message)
            with self.lock:
                reply = self.storage.answer(request)
        except CloudRefusal as refusal:
            code = refusal.code
            if refusal.violation:
                self.violated(f"{request.method} {path}: {refusal}")
            reply = Reply(refusal.status, refusal.document, {"Content-Type": "application/xml"})
            if fault and fault.retry_after is not None:
                reply.headers["Retry-After"] = str(fault.retry_after)
        endpoint = f"{request.method} signed"
        sizes = (len(request.body), len(reply.body))
        self.requests.append(Seen(self.clock.now(), endpoint, path, reply.status, code, "", *sizes))
        return reply

    def _answer_login(self, request: Request) -> Reply:
        with self.lock:
            try:
                return render(users.entra(self, request), False)
            except Refusal as refusal:
                return self._refused(refusal, f"{request.method} login")[0]

    def _with_fault(self, fault: Fault | None, serve: Any) -> Reply:
        if fault is None:
            reply: Reply = serve()
            return reply
        if fault.kind == "drop":
            return Reply(fate="reset")
        reply = serve()
        if fault.kind == "slow":
            time.sleep(fault.seconds)
        if fault.kind == "lose":
            return Reply(fate="reset")
        return replace(reply, fate="cut") if fault.kind == "cut" else reply


def _as_refusal(fault: Fault) -> Refusal:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return Refusal(fault.code, fault.message, status=fault.status, headers=headers)


@contextlib.contextmanager
def careful(workspace: Databricks) -> Iterator[Databricks]:
    """The workspace; at the end, nothing may have been sent that no careful client sends."""
    yield workspace
    assert not workspace.violations, "\n".join(workspace.violations)
