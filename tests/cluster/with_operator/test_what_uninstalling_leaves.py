"""From the first minute after `helm install` to the remains of `helm uninstall`, nothing needs a second attempt."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from cluster import tools
from cluster.manifests import component, deployment
from cluster.release import CHART, NAMESPACE, Release, get, get_one, until

if TYPE_CHECKING:
    from cluster.user import User

OTHER_NAMESPACE = "pannier-elsewhere"
AT_ONCE_S = 60.0
"""Timeout for a busy machine; a resync happens every five minutes."""


@pytest.fixture
def uninstalled(pannier: Release) -> Iterator[Release]:
    """Pannier's chart uninstalled, and installed again at the end."""
    pannier.uninstall()
    yield pannier
    pannier.install()


def test_helm_test_right_after_helm_install_succeeds(uninstalled: Release) -> None:
    command = [part for part in uninstalled.install_command() if part != "--wait"]
    uninstalled.cluster.helm(*command)

    said = uninstalled.cluster.helm("test", uninstalled.name, "-n", NAMESPACE, "--timeout", "240s")

    assert said.count("Phase:          Succeeded") >= 2
    assert "Failed" not in said


def test_one_command_removes_what_uninstalling_leaves(uninstalled: Release, user: User) -> None:
    uninstalled.install()
    user.apply(component(), deployment("orders"))
    user.deployed("orders")
    user.is_ready()
    uninstalled.uninstall()
    user.kubectl("delete", "deployment", "orders")
    assert get(user.cluster, "secrets", user.namespace)

    page = (tools.ROOT / "docs" / "kubernetes.md").read_text()
    (command,) = re.findall(r"^kubectl (delete .*outlives-release.*)$", page, re.M)
    user.cluster.kubectl(*command.split())

    assert get(user.cluster, "secrets", user.namespace) == []
    assert get(user.cluster, "secrets", NAMESPACE) == []
    assert get(user.cluster, "leases", NAMESPACE) == []
    for definition in ("components.dapr.io", "resiliencies.dapr.io", "configurations.dapr.io"):
        assert user.cluster.try_kubectl("get", "crd", definition).returncode == 1


def test_another_release_elsewhere_works_with_the_definition_that_was_kept(uninstalled: Release, user: User) -> None:
    uninstalled.cluster.kubectl("get", "crd", "components.dapr.io")
    images = [part for part in uninstalled.install_command() if "image" in part]
    settings = [part for image in images for part in ("--set-json", image)]
    install = ("upgrade", "--install", "second", str(CHART), "-n", OTHER_NAMESPACE, "--create-namespace", *settings)
    try:
        said = uninstalled.cluster.helm(*install, "--wait", "--timeout", "180s")
        assert "was installed by release pannier in pannier-system" in said
        until(lambda: user.apply(component(), deployment("orders")) is None, "its webhooks answer")
        user.deployed("orders")
        user.until(lambda: user.pod("orders")["spec"].get("initContainers"), "it injects")
        user.is_ready()
        uninstalled.cluster.helm(*install, "--wait", "--timeout", "180s")
        uninstalled.cluster.kubectl("get", "crd", "components.dapr.io")
    finally:
        uninstalled.cluster.helm("uninstall", "second", "-n", OTHER_NAMESPACE, "--wait")
        uninstalled.cluster.kubectl("delete", "namespace", OTHER_NAMESPACE, "--wait=false")


@pytest.mark.parametrize("kind", ["validatingwebhookconfiguration", "mutatingwebhookconfiguration"])
def test_a_webhook_configuration_that_is_created_again_is_trusted_at_once(pannier: Release, kind: str) -> None:
    def bundles() -> set[str]:
        found = json.loads(pannier.cluster.kubectl("get", kind, "pannier", "-o", "json"))
        return {webhook["clientConfig"].get("caBundle", "") for webhook in found["webhooks"]}

    secret = get_one(pannier.cluster, "secret", NAMESPACE, "pannier-operator-certificate")
    found = json.loads(pannier.cluster.kubectl("get", kind, "pannier", "-o", "json"))
    found["metadata"] = {key: found["metadata"][key] for key in ("name", "labels", "annotations")}
    for webhook in found["webhooks"]:
        del webhook["clientConfig"]["caBundle"]

    pannier.cluster.kubectl("delete", kind, "pannier")
    pannier.cluster.kubectl("create", "-f", "-", input=json.dumps(found))

    until(lambda: bundles() == {secret["data"]["ca.crt"]}, "the API server trusts the operator again", AT_ONCE_S)
