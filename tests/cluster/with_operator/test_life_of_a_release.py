"""helm test, helm upgrade and helm uninstall; what the operator may not do; and its certificate, renewed in use."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from cluster import tools
from cluster.manifests import component, configuration, deployment, resiliency
from cluster.release import CHART, NAMESPACE, get, get_one, until
from cluster.user import CONFIGURATIONS, RESILIENCIES

if TYPE_CHECKING:
    from cluster.release import Release
    from cluster.user import User

RENEWED_TWICE_WITHIN_S = 200.0
"""With a lifetime of a minute, renewal is due every 40 s."""
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:pannier-operator"


def test_helm_test_saves_and_reads_a_key(pannier: Release) -> None:
    said = pannier.cluster.helm("test", pannier.name, "-n", NAMESPACE, "--timeout", "120s")

    assert "Phase:          Succeeded" in said


def test_the_operator_may_do_nothing_else(pannier: Release) -> None:
    def may(verb: str, resource: str, *more: str) -> bool:
        done = pannier.cluster.try_kubectl("auth", "can-i", verb, resource, f"--as={ACCOUNT}", *more)
        return done.stdout.strip() == "yes"

    assert may("patch", "pods", "-n", "default")
    assert not may("create", "pods", "-n", "default")
    assert not may("delete", "pods", "-n", "default")
    assert not may("patch", "components.dapr.io", "-n", "default")
    assert not may("delete", "components.dapr.io", "-n", "default")
    assert not may("create", "pods/eviction", "-n", "default")
    assert not may("update", "leases", "-n", "kube-system")
    assert not may("patch", "validatingwebhookconfigurations/other")
    assert not may("get", "nodes")
    done = pannier.cluster.try_kubectl("delete", "namespace", "default", f"--as={ACCOUNT}", "--dry-run=server")
    assert done.returncode == 1
    assert "forbidden" in done.stderr


def test_watching_the_namespace_of_pannier_is_refused(pannier: Release) -> None:
    done = pannier.cluster.try_helm(
        "template",
        "x",
        str(CHART),
        "-n",
        NAMESPACE,
        "--kube-version",
        "1.35.0",
        "--set",
        f"watchedNamespaces={{{NAMESPACE}}}",
    )

    assert done.returncode == 1
    assert "where Pannier itself is installed: its webhooks leave that namespace alone" in done.stderr


def test_an_upgrade_leaves_apps_untouched(pannier: Release, user: User) -> None:
    user.apply(component(), deployment("orders"))
    user.deployed("orders")
    user.is_ready()
    before = user.pod("orders")["metadata"]["uid"]

    pannier.install(operator__log__format="json", missedPods__evict=True)

    assert user.pod("orders")["metadata"]["uid"] == before
    user.saves_and_reads("orders", "after the upgrade")
    user.apply(component("second"))
    user.until(lambda: user.call("orders", "second/none")[0] == 204, "the upgraded operator delivers")
    pannier.install()


def test_missed_pods_are_evicted_if_enabled_as_far_as_their_budget_allows(pannier: Release, user: User) -> None:
    user.apply(component())
    pannier.scale(0)
    user.apply(deployment("orders"))
    user.deployed("orders")
    assert "initContainers" not in user.pod("orders")["spec"]

    user.kubectl("create", "pdb", "orders", "--selector=app=orders", "--min-available=1")
    pannier.install(missedPods__evict=True)
    user.until(lambda: user.events("SidecarMissing"), "the pod is found")
    assert user.events("EvictedForSidecar") == []
    user.kubectl("delete", "pdb", "orders")

    user.until(lambda: "initContainers" in user.pod("orders")["spec"], "the pod is created again, with its sidecar")
    user.deployed("orders")
    user.saves_and_reads("orders", 1)
    pannier.install()


def test_the_secret_of_an_app_that_has_gone_is_removed(pannier: Release, user: User) -> None:
    pannier.install(operator__unusedSecretGrace="5s")
    user.apply(component(), deployment("orders"))
    user.deployed("orders")
    assert len(get(user.cluster, "secrets", user.namespace)) == 1

    user.kubectl("delete", "deployment", "orders")

    user.until(lambda: get(user.cluster, "secrets", user.namespace) == [], "its Secret is removed")
    pannier.install()


@pytest.mark.timeout(600)
def test_an_operator_of_some_namespaces_sees_no_other_and_finds_definitions_that_come_later(
    pannier: Release, user: User
) -> None:
    cluster, kinds = pannier.cluster, (RESILIENCIES, CONFIGURATIONS)
    pannier.install(watchedNamespaces=[user.namespace])
    try:
        user.apply(component(), deployment("orders"))
        user.deployed("orders")
        user.is_ready()
        user.saves_and_reads("orders", 1)
        may = pannier.cluster.try_kubectl("auth", "can-i", "list", "secrets", "-n", "default", f"--as={ACCOUNT}")
        assert may.stdout.strip() == "no"
        cluster.kubectl("delete", "crd", *kinds, "--timeout=60s")
        cluster.kubectl("delete", "pod", "-n", NAMESPACE, *pannier.operators())
        pannier.scale(2)
        user.until(lambda: user.tries("apply", "-f", "-", input=component("late")).returncode == 0, "it works without")
        user.is_ready("late")

        define(pannier, *kinds)
        for made in (resiliency("state", {"timeouts": {"q": "2s"}}), configuration("shop")):
            user.until(lambda made=made: user.tries("apply", "-f", "-", input=made).returncode == 0, "it is taken")
        user.is_ready("state", RESILIENCIES)
        user.is_ready("shop", CONFIGURATIONS)
    finally:
        define(pannier, *kinds)
        pannier.install(watchedNamespaces=[])


def define(pannier: Release, *kinds: str) -> None:
    """Install these definitions, and give them to the release, as the chart's notes say."""
    for name in ("resiliency", "configuration"):
        pannier.cluster.kubectl("apply", "-f", str(tools.ROOT / "crds" / f"{name}.yaml"))
    names = (f"crd/{kind}" for kind in kinds)
    pannier.cluster.kubectl("wait", "--for=condition=Established", *names, "--timeout=60s")
    owner = (f"meta.helm.sh/release-name={pannier.name}", f"meta.helm.sh/release-namespace={NAMESPACE}")
    pannier.cluster.kubectl("label", "--overwrite", "crd", *kinds, "app.kubernetes.io/managed-by=Helm")
    pannier.cluster.kubectl("annotate", "--overwrite", "crd", *kinds, *owner)


def test_the_certificate_is_renewed_while_components_are_applied(pannier: Release, user: User) -> None:
    def serial() -> str:
        return str(get_one(user.cluster, "secret", NAMESPACE, "pannier-operator-certificate")["data"]["tls.crt"])

    pannier.install(certificate__lifetime="60s")
    seen, number = {serial()}, 0
    failures = []
    end = time.monotonic() + RENEWED_TWICE_WITHIN_S
    while len(seen) < 3:
        number += 1
        assert time.monotonic() < end, f"it was renewed {len(seen) - 1} times"
        done = user.tries("apply", "-f", "-", input=component(f"store-{number % 5}", note=str(number)))
        if done.returncode:
            failures.append(done.stderr)
        seen.add(serial())
    assert failures == []
    (left,) = re.findall(r"^pannier_operator_webhook_certificate_days_left (\S+)$", pannier.metrics(), re.M)
    assert float(left) < 60 / 86400
    pannier.install()


def test_uninstalling_leaves_apps_and_components(pannier: Release, user: User) -> None:
    user.apply(component(), deployment("orders"))
    user.deployed("orders")
    user.is_ready()

    pannier.uninstall()
    try:
        user.saves_and_reads("orders", "without an operator")
        assert user.kubectl("get", "components.dapr.io", "-o", "name").split() == ["component.dapr.io/statestore"]
        user.until(lambda: user.apply(component("other")) is None, "nobody is asked any more")
        user.kubectl("delete", "pod", user.pod("orders")["metadata"]["name"], "--grace-period=1")
        user.deployed("orders")
    finally:
        pannier.install()
    until(lambda: user.condition("other", "Ready").get("status") == "True", "what came meanwhile is reconciled")
