"""An app without pods starts with current components when it comes back; of a fast-changing Secret the last value
wins.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from cluster.manifests import component, deployment
from cluster.release import SIDECAR_IMAGE, get, get_one

if TYPE_CHECKING:
    from cluster.user import User


def delivered(user: User, app: str = "orders") -> str:
    """The whole content of an app's Secret, as text."""
    data = get_one(user.cluster, "secret", user.namespace, f"{app}-pannier")["data"]
    return "\n".join(base64.b64decode(value).decode() for value in data.values())


def test_the_secret_of_an_app_that_is_scaled_to_nothing_follows_its_components(user: User) -> None:
    user.apply(component(), deployment("orders"))
    user.deployed("orders")
    user.kubectl("scale", "deployment/orders", "--replicas=0")
    user.kubectl("wait", "--for=delete", "pod", "-l", "app=orders", "--timeout=60s")

    user.apply(component(type="state.sqlite", connectionString="/tmp/orders.db"))

    user.until(lambda: "/tmp/orders.db" in delivered(user), "it is in the Secret before there is a pod")


def test_of_a_secret_that_changes_fast_the_last_value_wins_and_no_pod_restarts(user: User) -> None:
    user.kubectl("create", "secret", "generic", "redis", "--from-literal=password=value-0")
    secrets = {"redisPassword": ("redis", "password")}
    user.apply(component(type="state.redis", secrets=secrets, redisHost="127.0.0.1:1"), deployment("orders"))
    user.deployed("orders")
    changes = [json.dumps({"stringData": {"password": f"value-{number}"}}) for number in range(1, 11)]
    for change in changes:
        user.kubectl("patch", "secret", "redis", "--type=merge", "-p", change)

    user.until(lambda: '"value-10"' in delivered(user), "the last value is delivered")
    user.until(lambda: user.has_read("orders"), "its sidecar has read it")
    status = user.pod("orders")["status"]
    assert [each["restartCount"] for each in (*status["initContainerStatuses"], *status["containerStatuses"])] == [0, 0]


def test_a_copy_of_a_pod_for_debugging_is_no_separate_app(user: User) -> None:
    user.apply(component(), deployment("orders"))
    user.deployed("orders")
    user.is_ready()
    pod = user.pod("orders")["metadata"]["name"]
    debug = ("debug", pod, "--copy-to=copied", f"--image={SIDECAR_IMAGE}", "--profile=restricted", "-c", "debugger")
    user.kubectl(*debug, "--", "sleep", "1000")

    user.apply(component("second"))

    user.is_ready("second")
    secrets = {each["metadata"]["name"] for each in get(user.cluster, "secrets", user.namespace)}
    assert secrets == {"orders-pannier"}
