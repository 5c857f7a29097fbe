"""A user's actions in one namespace, with kubectl, and what they look at afterwards."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cluster.release import DEADLINE_S, get, get_one, until

from pannier_crds.folder import STATUS_KEY_HEADER

if TYPE_CHECKING:
    import subprocess

    from cluster.access import Cluster

COMPONENTS = "components.dapr.io"
RESILIENCIES = "resiliencies.dapr.io"
CONFIGURATIONS = "configurations.dapr.io"


@dataclass(frozen=True)
class User:
    """A user with their own namespace."""

    cluster: Cluster
    namespace: str

    def kubectl(self, *arguments: str, input: str | None = None) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments, input=input)

    def tries(self, *arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        return self.cluster.try_kubectl("-n", self.namespace, *arguments, input=input)

    def apply(self, *manifests: str) -> None:
        for manifest in manifests:
            self.kubectl("apply", "-f", "-", input=manifest)

    def is_refused(self, manifest: str, *options: str) -> str:
        """Apply something that must be refused; return kubectl's message, without kubectl's own prefix."""
        done = self.tries("apply", "-f", "-", *options, input=manifest)
        assert done.returncode != 0, f"this was taken: {done.stdout}"
        return done.stderr.strip()

    def deployed(self, *names: str) -> None:
        """Wait until these Deployments run as they should."""
        for name in names:
            self.kubectl("rollout", "status", f"deployment/{name}", "--timeout=180s")

    def is_ready(self, name: str = "statestore", kind: str = COMPONENTS) -> None:
        self.kubectl("wait", "--for=condition=Ready", f"{kind}/{name}", "--timeout=180s")

    def condition(self, name: str, type: str, kind: str = COMPONENTS) -> dict[str, str]:
        """One condition of a Component or of another kind; empty before it has any."""
        status = get_one(self.cluster, kind, self.namespace, name).get("status") or {}
        return next((each for each in status.get("conditions", ()) if each["type"] == type), {})

    def pods(self, *arguments: str) -> list[Any]:
        return get(self.cluster, "pods", self.namespace, *arguments)

    def pod(self, app: str) -> Any:
        """The app's newest pod that is not ending."""
        found = [each for each in self.pods("-l", f"app={app}") if "deletionTimestamp" not in each["metadata"]]
        assert found, f"no pod of {app}"
        return max(found, key=lambda each: each["metadata"]["creationTimestamp"])

    def events(self, reason: str) -> list[Any]:
        return [each for each in get(self.cluster, "events", self.namespace) if each["reason"] == reason]

    def call(self, app: str, path: str, body: object = None) -> tuple[int, str]:
        """Call the state API from within the app's container, as the app would; status and body."""
        code = _CALL.format(path=path, body=None if body is None else json.dumps(body))
        pod = self.pod(app)["metadata"]["name"]
        status, _, text = self.kubectl("exec", pod, "-c", "app", "--", "python", "-c", code).partition(" ")
        return int(status), text.strip()

    def saves_and_reads(self, app: str, value: object, store: str = "statestore") -> None:
        assert self.call(app, store, [{"key": "k", "value": value}])[0] == 201
        assert self.call(app, f"{store}/k") == (200, json.dumps(value))

    def has_taken_over(self, app: str) -> bool:
        """Whether every sidecar of the app reports that it serves the current content of the app's Secret."""
        secret = get_one(self.cluster, "secret", self.namespace, f"{app}-pannier")
        version, key = base64.b64decode(secret["data"]["_version"]).decode().split()
        return all(_serves(version, self.health(pod["metadata"]["name"], key)) for pod in self.pods("-l", f"app={app}"))

    def has_read(self, app: str) -> bool:
        """Whether every sidecar of the app has read the current content of the app's Secret; its stores may not
        answer.
        """
        secret = get_one(self.cluster, "secret", self.namespace, f"{app}-pannier")
        version, key = base64.b64decode(secret["data"]["_version"]).decode().split()
        pods = [pod["metadata"]["name"] for pod in self.pods("-l", f"app={app}")]
        return all(self.health(pod, key)["componentsVersion"] == version for pod in pods)

    def report(self, app: str) -> Any:
        """What the sidecar of the app's newest pod reports to the operator."""
        secret = get_one(self.cluster, "secret", self.namespace, f"{app}-pannier")
        _, key = base64.b64decode(secret["data"]["_version"]).decode().split()
        return self.health(self.pod(app)["metadata"]["name"], key)

    def health(self, pod: str, key: str) -> Any:
        """The report of a pod's sidecar to the operator, which knows this key."""
        code = _HEALTH.format(header=STATUS_KEY_HEADER, key=key)
        return json.loads(self.kubectl("exec", pod, "-c", "app", "--", "python", "-c", code))

    def until(self, is_so: Any, what: str, seconds: float = DEADLINE_S) -> Any:
        return until(is_so, what, seconds)


def _serves(version: str, health: Any) -> bool:
    return health["componentsVersion"] == version and not any(store["why"] for store in health["stores"].values())


_HEALTH = """
import urllib.request as web
request = web.Request("http://127.0.0.1:3500/v1.0/healthz?verbose", headers={{"{header}": "{key}"}})
print(web.urlopen(request, timeout=10).read().decode())
"""
_CALL = """
import urllib.request as web, urllib.error as errors
body = {body!r}
request = web.Request("http://127.0.0.1:3500/v1.0/state/{path}", body.encode() if body else None)
if body: request.add_header("content-type", "application/json")
try:
    answer = web.urlopen(request, timeout=10)
    print(answer.status, answer.read().decode())
except errors.HTTPError as error:
    print(error.code, error.read().decode())
"""
