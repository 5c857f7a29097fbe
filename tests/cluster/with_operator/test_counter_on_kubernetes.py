"""The example from end to end: applied as printed, it counts, and changes of its Component and Secret are live in
seconds.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import pytest
from cluster.manifests import component
from cluster.release import example, get_one, until
from cluster.user import COMPONENTS

if TYPE_CHECKING:
    from cluster.user import User

LIVE_WITHIN_S = 150.0
"""Timeout for a busy machine; on a quiet one a change is live in a second or two."""
NEW_PASSWORD = "changed-since"


@pytest.fixture
def counting(user: User) -> User:
    user.apply(example("redis.yaml"), example("component.yaml"), example("counter.yaml"))
    user.deployed("redis", "counter")
    user.is_ready()
    return user


def test_the_count_goes_on_when_its_pod_is_killed(counting: User) -> None:
    before = until(lambda: count(counting), "it counts")
    counting.kubectl("delete", "pod", counting.pod("counter")["metadata"]["name"], "--grace-period=1")
    counting.deployed("counter")

    after = until(lambda: count(counting), "the next pod counts")

    assert after > before
    assert first(counting) > before


def test_kubectl_shows_how_the_component_is(counting: User) -> None:
    head, line = counting.kubectl("get", "components.dapr.io", "-o", "wide").splitlines()

    assert head.split() == ["NAME", "TYPE", "ACTOR", "READY", "APPS", "AGE", "REASON", "REVISION"]
    name, type, actor, ready, apps, age, reason, revision = line.split()
    assert [name, type, actor, ready, apps, reason] == ["statestore", "state.redis", "true", "True", "1/1", "Ready"]
    assert revision.isdigit()


def test_the_operator_does_not_change_a_component_itself(counting: User) -> None:
    metadata = get_one(counting.cluster, COMPONENTS, counting.namespace, "statestore")["metadata"]

    assert list(metadata["annotations"]) == ["kubectl.kubernetes.io/last-applied-configuration"]
    assert "finalizers" not in metadata


def test_a_changed_component_is_live_without_a_restart(counting: User) -> None:
    counting.apply(component("second"))

    until(lambda: counting.call("counter", "second/none")[0] == 204, "the second store is live", LIVE_WITHIN_S)
    counting.kubectl("delete", "components.dapr.io", "second")
    until(lambda: counting.call("counter", "second/none")[0] == 400, "the second store has gone", LIVE_WITHIN_S)
    assert restarts(counting) == [0, 0]


def test_a_changed_secret_reaches_running_sidecars(counting: User) -> None:
    change_password(counting)
    data = {"data": {"password": base64.b64encode(NEW_PASSWORD.encode()).decode()}}
    counting.kubectl("patch", "secret", "redis", "--type=merge", "-p", str(data).replace("'", '"'))

    until(lambda: delivered(counting, NEW_PASSWORD), "the sidecar sees the new password", LIVE_WITHIN_S)
    counting.saves_and_reads("counter", "with the new password")
    log = counting.kubectl("logs", "deploy/counter", "-c", "app")
    assert "not counted" not in log[log.index("this is visit") :]  # before the first one, Redis was starting
    assert restarts(counting) == [0, 0]


def change_password(user: User) -> None:
    code = f"""
import socket
redis = socket.create_connection(("redis", 6379))
redis.sendall(b"AUTH change-me\\r\\nCONFIG SET requirepass {NEW_PASSWORD}\\r\\n")
print(redis.recv(100))
"""
    user.kubectl("exec", user.pod("counter")["metadata"]["name"], "-c", "app", "--", "python", "-c", code)


def count(user: User) -> int:
    lines = re.findall(
        r"this is visit (\d+)", user.kubectl("logs", user.pod("counter")["metadata"]["name"], "-c", "app")
    )
    return int(lines[-1]) if lines else 0


def first(user: User) -> int:
    log = user.kubectl("logs", user.pod("counter")["metadata"]["name"], "-c", "app")
    return int(re.findall(r"this is visit (\d+)", log)[0])


def restarts(user: User) -> list[int]:
    status = user.pod("counter")["status"]
    return [each["restartCount"] for each in (*status["containerStatuses"], *status["initContainerStatuses"])]


def delivered(user: User, password: str) -> bool:
    code = "print(open('/components/_kubernetes-secrets').read())"
    pod = user.pod("counter")["metadata"]["name"]
    return password in user.kubectl("exec", pod, "-c", "daprd", "--", "python", "-c", code)
