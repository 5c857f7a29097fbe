"""Others change, block or take an app's Secret: only that app is affected, and the reason is reported where people
look.
"""

from __future__ import annotations

import base64
import json
import re
import time
from typing import TYPE_CHECKING, Any

from cluster.manifests import component, deployment
from cluster.release import get_one, until

if TYPE_CHECKING:
    from cluster.release import Release
    from cluster.user import User

MANAGED_BY = "app.kubernetes.io/managed-by"
CALM_S = 8.0


def version(user: User, app: str = "orders") -> str:
    return str(get_one(user.cluster, "secret", user.namespace, f"{app}-pannier")["metadata"]["resourceVersion"])


def patch(user: User, change: dict[str, Any], app: str = "orders") -> None:
    user.kubectl("patch", "secret", f"{app}-pannier", "--type=merge", "-p", json.dumps(change))


def is_refused(user: User, reason: str, *words: str) -> None:
    """The Component's status, an Event on it and an Event on the waiting pod say what refuses the Secret."""
    found = user.until(
        lambda: (each := user.condition("statestore", "Delivered")).get("reason") == "SecretRefused" and each,
        "the condition says so",
    )
    for word in words:
        assert word in found["message"]
    assert user.condition("statestore", "Ready")["reason"] == "SecretRefused"
    on_component = user.until(lambda: user.events("SecretRefused"), "an Event on the Component")
    on_pod = user.until(lambda: user.events("ComponentsNotDelivered"), "an Event on the pod")
    assert {each["involvedObject"]["kind"] for each in (*on_component, *on_pod)} == {"Component", "Pod"}
    assert words[0] in on_pod[0]["message"]


def counted(pannier: Release, cause: str) -> bool:
    """Whether the leader counts it; the Service reaches either of the two."""
    return bool(re.search(rf'undelivered_apps{{cause="{cause}"}} [1-9]', pannier.metrics()))


def test_a_component_smuggled_into_the_secret_is_never_served_and_removed_by_one_write(user: User) -> None:
    user.apply(component(), deployment("orders"))
    user.deployed("orders")
    user.is_ready()
    smuggled = base64.b64encode(component("smuggled").encode()).decode()

    before = version(user)
    patch(user, {"data": {"smuggled.yaml": smuggled}})
    user.until(
        lambda: "smuggled.yaml" not in get_one(user.cluster, "secret", user.namespace, "orders-pannier")["data"],
        "the foreign key goes",
    )
    after = version(user)
    assert after != before
    end = time.monotonic() + CALM_S
    while time.monotonic() < end:
        assert user.call("orders", "smuggled/none")[0] in (400, 404)
        assert version(user) == after
    user.until(lambda: user.has_taken_over("orders"), "the sidecar has read the Secret as it is now")
    user.saves_and_reads("orders", 1)


def test_a_component_that_is_changed_in_the_secret_is_restored(user: User) -> None:
    user.apply(component(), deployment("orders"))
    user.deployed("orders")
    user.is_ready()
    user.saves_and_reads("orders", "kept in memory")

    patch(user, {"data": {"statestore.yaml": base64.b64encode(component(type="state.sqlite").encode()).decode()}})

    user.until(lambda: user.has_taken_over("orders"), "it is as it was")
    assert user.call("orders", "statestore/k") == (200, '"kept in memory"'), "the store was never another one"


def test_a_quota_stops_one_app_and_no_other(pannier: Release, user: User) -> None:
    user.apply(component(), deployment("first"))
    user.deployed("first")
    user.is_ready()
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}}
    user.apply(json.dumps({**quota, "spec": {"hard": {"secrets": "1"}}}))

    user.apply(deployment("orders"))

    is_refused(user, "QuotaExceeded", "the quota 'few' allows no more", "raise it, or make room")
    until(lambda: counted(pannier, "QuotaExceeded"), "a metric counts it")
    user.apply(component("second"))
    user.until(lambda: user.call("first", "second/none")[0] == 204, "the other app gets what is new")
    user.kubectl("delete", "quota", "few")
    user.deployed("orders")
    user.is_ready()


def test_an_immutable_secret_stops_one_app_and_no_other(user: User) -> None:
    user.apply(component(), deployment("first"), deployment("orders"))
    user.deployed("first", "orders")
    user.is_ready()
    patch(user, {"immutable": True})

    user.apply(component("second"))

    user.until(lambda: user.call("first", "second/none")[0] == 204, "the other app gets what is new")
    found = user.until(
        lambda: (each := user.condition("second", "Delivered")).get("reason") == "SecretRefused" and each,
        "the refusal is reported",
    )
    assert "'orders-pannier'" in found["message"]
    assert "is immutable; scale the app to 0, delete the Secret" in found["message"]
    assert user.condition("statestore", "Ready")["status"] == "True", "the first component has not changed"
    user.kubectl("scale", "deployment/orders", "--replicas=0")
    user.kubectl("wait", "--for=delete", "pod", "-l", "app=orders", "--timeout=60s")
    user.kubectl("delete", "secret", "orders-pannier")
    user.kubectl("scale", "deployment/orders", "--replicas=1")
    user.deployed("orders")
    user.until(lambda: user.call("orders", "second/none")[0] == 204, "the app gets it too")


def test_a_users_own_secret_of_that_name_is_left_alone(user: User) -> None:
    user.kubectl("create", "secret", "generic", "orders-pannier", "--from-literal=mine=1")
    user.kubectl("create", "secret", "generic", "plain", "--type=kubernetes.io/basic-auth", "--from-literal=password=1")

    user.apply(component(), deployment("orders"), deployment("first"))

    user.deployed("first")
    found = user.until(
        lambda: (each := user.condition("statestore", "Delivered")).get("reason") == "SecretRefused" and each,
        "the refusal is reported",
    )
    assert "is not Pannier's and has the name that the app's Secret needs" in found["message"]
    assert get_one(user.cluster, "secret", user.namespace, "orders-pannier")["data"] == {"mine": "MQ=="}
    assert user.condition("statestore", "Accepted")["status"] == "True"
    user.until(lambda: user.call("first", "statestore/none")[0] == 204, "the other app has it")


def test_a_secret_that_has_lost_its_label_is_reported_and_taken_back_with_it(user: User) -> None:
    user.apply(component(), deployment("first"), deployment("orders"))
    user.deployed("first", "orders")
    user.is_ready()

    user.kubectl("label", "secret", "orders-pannier", f"{MANAGED_BY}-")
    user.apply(component("second"))

    user.until(lambda: user.call("first", "second/none")[0] == 204, "the other app gets what is new")
    found = user.until(
        lambda: (each := user.condition("second", "Delivered")).get("reason") == "SecretRefused" and each,
        "the refusal is reported",
    )
    assert f"has lost the label {MANAGED_BY}=pannier-operator; put the label back" in found["message"]
    user.kubectl("label", "secret", "orders-pannier", f"{MANAGED_BY}=pannier-operator")
    user.until(lambda: user.call("orders", "second/none")[0] == 204, "it gets what is new as well")
