"""Manifests of what users write: objects of Dapr's kinds, and workloads whose app is a few lines of Python."""

from __future__ import annotations

import json
from typing import Any

from cluster.release import SIDECAR_IMAGE

IN_MEMORY = "state.in-memory"
REDIS = "state.redis"
ALLOW = "pannier.dev/allow-actor-store-change"
PROTECT = "pannier.dev/protect-actor-store"

SLEEP = "import signal; signal.signal(signal.SIGTERM, lambda *_: exit()); signal.pause()"
SAVE_AND_READ = """
import json, os, urllib.request as web
url = f"http://127.0.0.1:{os.environ['DAPR_HTTP_PORT']}/v1.0/state/statestore"
body = json.dumps([{"key": "greeting", "value": "hello"}]).encode()
web.urlopen(web.Request(url, body, {"content-type": "application/json"}), timeout=10)
print(web.urlopen(url + "/greeting", timeout=10).read().decode())
"""


def component(
    name: str = "statestore",
    type: str = IN_MEMORY,
    *,
    scopes: list[str] | None = None,
    annotations: dict[str, str] | None = None,
    secrets: dict[str, tuple[str, str]] | None = None,
    **settings: str,
) -> str:
    """A Component as JSON, which kubectl reads too. `secrets` are settings that refer to a Secret's name and key."""
    metadata: list[dict[str, Any]] = [{"name": key, "value": value} for key, value in settings.items()]
    for key, (secret, entry) in (secrets or {}).items():
        metadata.append({"name": key, "secretKeyRef": {"name": secret, "key": entry}})
    manifest: dict[str, Any] = {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name, "annotations": annotations or {}},
        "spec": {"type": type, "version": "v1", "metadata": metadata},
    }
    if scopes:
        manifest["scopes"] = scopes
    return json.dumps(manifest)


def resiliency(
    name: str,
    policies: dict[str, Any],
    *,
    scopes: list[str] | None = None,
    store: str = "statestore",
    **names: str,
) -> str:
    """A Resiliency as JSON; `names` are the policies of the store's calls."""
    targets = {"components": {store: {"outbound": names}}} if names else {}
    manifest: dict[str, Any] = {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Resiliency",
        "metadata": {"name": name},
        "spec": {"policies": policies, "targets": targets},
    }
    return json.dumps({**manifest, "scopes": scopes} if scopes else manifest)


def configuration(name: str, **spec: Any) -> str:
    """A Configuration as JSON."""
    head = {"apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": {"name": name}}
    return json.dumps({**head, "spec": spec})


def pod_template(
    code: str, annotations: dict[str, str] | None = None, restart_policy: str = "Always"
) -> dict[str, Any]:
    """A pod that passes the restricted Pod Security Standard and asks for a sidecar."""
    return {
        "metadata": {"annotations": {"dapr.io/enabled": "true", **(annotations or {})}},
        "spec": {
            "restartPolicy": restart_policy,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 5,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "app",
                    "image": SIDECAR_IMAGE,
                    "imagePullPolicy": "Never",
                    "command": ["python", "-u", "-c"],
                    "args": [code],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


def deployment(name: str, code: str = SLEEP, *, replicas: int = 1, annotations: dict[str, str] | None = None) -> str:
    template = pod_template(code, annotations)
    template["metadata"]["labels"] = {"app": name}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})


def job(name: str, code: str) -> str:
    template = pod_template(code, restart_policy="Never")
    spec = {"template": template, "backoffLimit": 0}
    return json.dumps({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec})


def bare_pod(name: str, code: str = SLEEP, annotations: dict[str, str] | None = None) -> str:
    template = pod_template(code, annotations)
    template["metadata"]["name"] = name
    return json.dumps({"apiVersion": "v1", "kind": "Pod", **template})
