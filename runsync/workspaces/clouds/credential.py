"""A signed address of one file in a cloud's storage. As a whole it is a secret."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from runsync.workspaces.http.fields import listed, text

AWS, GCP = "AWS_PRESIGNED_URL", "GCP_SIGNED_URL"
AZURE, ADLS = "AZURE_SAS_URI", "AZURE_ADLS_GEN2_SAS_URI"
_BY_NUMBER = {1: AZURE, 2: AWS, 3: GCP, 4: ADLS}
"""Of `ArtifactCredentialType` in MLflow's databricks_artifacts.proto."""


@dataclass(frozen=True, slots=True)
class Credential:
    """An address that lets one file through, and the headers that must go with it."""

    kind: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Credential":
        """Of an ArtifactCredentialInfo. Raises OddAnswer."""
        kind = document.get("type", "")
        headers = {text(header, "name"): text(header, "value", "") for header in listed(document, "headers")}
        named = _BY_NUMBER.get(kind) if isinstance(kind, int) else None
        return cls(named or str(kind), text(document, "signed_uri"), headers)


class Pass:
    """The credential of one file, asked for again once it is refused. Safe for many threads."""

    def __init__(self, credential: Credential, ask: Callable[[], Credential]) -> None:
        self.credential = credential
        self._ask = ask
        self._lock = Lock()

    def renew(self, stale: Credential) -> None:
        """Another credential than the stale one."""
        with self._lock:
            if self.credential is stale:
                self.credential = self._ask()
