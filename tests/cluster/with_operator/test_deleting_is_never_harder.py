"""An actor store is deleted with its app, its release and its namespace, even while no operator answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from cluster import release
from cluster.manifests import component, deployment
from cluster.release import until
from cluster.user import COMPONENTS

if TYPE_CHECKING:
    from cluster.release import Release
    from cluster.user import User

ACTORS = {"actorStateStore": "true"}


def test_our_own_example_is_deleted_as_it_was_applied(user: User) -> None:
    files = [release.example(name) for name in ("redis.yaml", "component.yaml", "counter.yaml")]
    user.apply(*files)
    user.deployed("counter")
    user.is_ready()

    done = user.tries("delete", "--timeout=60s", "-f", "-", input="\n---\n".join(files[1:] + files[:1]))

    assert done.returncode == 0, done.stderr
    warning = "'statestore' holds the actor state of running app 'counter'; if the apps stay, apply it again"
    assert warning in done.stderr
    assert user.kubectl("get", COMPONENTS, "-o", "name") == ""


def test_a_release_with_an_actor_store_and_its_app_is_uninstalled(user: User, tmp_path: Path) -> None:
    chart = tmp_path / "shop"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": "shop", "version": "1.0.0"}))
    (chart / "templates" / "component.yaml").write_text(component(**ACTORS))
    (chart / "templates" / "app.yaml").write_text(deployment("orders"))
    user.cluster.helm("install", "shop", str(chart), "-n", user.namespace)
    user.deployed("orders")
    user.is_ready()

    done = user.cluster.try_helm("uninstall", "shop", "-n", user.namespace, "--wait", "--timeout", "60s")

    assert done.returncode == 0, done.stderr
    assert user.kubectl("get", f"{COMPONENTS},deployments", "-o", "name") == ""


def test_a_namespace_goes_with_what_is_protected_in_it(user: User) -> None:
    protected = {"pannier.dev/protect-actor-store": "true"}
    user.apply(component(**ACTORS, annotations=protected), deployment("orders"))
    user.deployed("orders")
    user.is_ready()
    assert user.tries("delete", COMPONENTS, "statestore").returncode == 1

    user.cluster.kubectl("delete", "namespace", user.namespace, "--timeout=120s")


def test_everything_is_deleted_while_no_operator_runs(pannier: Release, user: User) -> None:
    held = json.loads(component("held"))
    held["metadata"]["finalizers"] = ["example.com/held"]
    user.apply(component(**ACTORS), json.dumps(held), deployment("orders"))
    user.deployed("orders")
    user.is_ready()
    pannier.scale(0)
    try:
        user.kubectl("label", COMPONENTS, "statestore", "team=a")
        user.kubectl("delete", COMPONENTS, "statestore", "--timeout=60s")
        user.kubectl("delete", COMPONENTS, "held", "--wait=false")
        user.kubectl("patch", COMPONENTS, "held", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
        until(lambda: user.kubectl("get", COMPONENTS, "-o", "name") == "", "its finalizer can be taken from it")
        user.cluster.kubectl("delete", "namespace", user.namespace, "--timeout=120s")
    finally:
        pannier.scale(2)
