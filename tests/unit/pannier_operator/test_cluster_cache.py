"""The cache of the cluster holds the latest version of what matters, in whatever order events arrive."""

from __future__ import annotations

from typing import Any

from pannier_operator.cluster.cache import ClusterCache
from pannier_operator.cluster.cached_objects import is_missed, is_ours


def pod(name: str = "a", *, version: int = 1, enabled: str | None = "true", sidecar: bool = True, **status: Any) -> Any:
    volumes = [{"name": "pannier-components"}] if sidecar else []
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
            "annotations": {} if enabled is None else {"dapr.io/enabled": enabled},
            "managedFields": [{"manager": "kubelet"}],
        },
        "spec": {
            "containers": [{"name": "app", "image": "app:1"}],
            "initContainers": [{"name": "daprd"}] if sidecar else [],
            "volumes": [*volumes, {"name": "scratch"}],
        },
        "status": {"phase": "Running", "podIP": "10.0.0.1", **status},
    }


def secret(name: str, *, version: int = 1, own: bool = False, **data: str) -> Any:
    labels = {"app.kubernetes.io/managed-by": "pannier-operator", "pannier.dev/app-id": "shop"} if own else {}
    metadata = {"name": name, "namespace": "shop", "uid": name, "resourceVersion": str(version), "labels": labels}
    return {"metadata": metadata, "data": data}


def test_a_pod_without_annotations_of_ours_is_not_kept() -> None:
    cache = ClusterCache()

    assert not cache.observe("pods", False, pod(enabled=None, sidecar=False))
    assert cache.pods("shop") == []
    assert cache.namespaces() == set(), "there is nothing to reconcile"


def test_a_pod_is_kept_without_what_no_reconcile_needs() -> None:
    cache = ClusterCache()
    observed = pod()
    observed["metadata"]["annotations"]["example.com/notes"] = "x" * 10_000
    cache.observe("pods", False, observed)

    kept = cache.pods("shop")[0]
    assert list(kept["spec"]["containers"]) == [{"name": "app"}]
    assert kept["metadata"]["annotations"] == {"dapr.io/enabled": "true"}
    assert "managedFields" not in kept["metadata"]
    assert is_ours(kept)


def test_a_change_without_effect_is_no_reason_to_reconcile() -> None:
    cache = ClusterCache()

    assert cache.observe("pods", False, pod())
    assert not cache.observe("pods", False, pod())
    assert not cache.observe("pods", False, pod(version=2))
    assert cache.observe("pods", False, pod(version=3, podIP="10.0.0.2"))


def test_an_older_version_does_not_replace_a_newer_one() -> None:
    cache = ClusterCache()
    cache.put("pods", pod(version=5, podIP="10.0.0.5"))

    assert not cache.observe("pods", False, pod(version=4, podIP="10.0.0.4"))
    assert cache.pods("shop")[0]["status"]["podIP"] == "10.0.0.5"


def test_the_end_of_an_earlier_object_of_that_name_changes_nothing() -> None:
    cache = ClusterCache()
    cache.observe("secrets", False, secret("password"))
    earlier = secret("password")
    earlier["metadata"]["uid"] = "earlier"

    assert not cache.observe("secrets", True, earlier)
    assert cache.secret("shop", "password") is not None


def test_the_values_of_foreign_secrets_are_not_kept() -> None:
    cache = ClusterCache()
    cache.observe("secrets", False, secret("password", redis="c2VjcmV0"))
    cache.observe("secrets", False, secret("shop-pannier", own=True, file="Zg=="))

    assert cache.secret("shop", "password")["data"] == {"redis": ""}  # type: ignore[index]
    (own,) = cache.own_secrets("shop")
    assert list(own["data"]) == ["file"]
    assert "Zg==" not in own["data"].values(), "the cache has digests of our own Secrets, for comparison"


def test_a_list_repairs_what_watches_have_missed() -> None:
    cache = ClusterCache()
    cache.observe("pods", False, pod("gone", version=3))
    cache.observe("pods", False, pod("newer", version=9))

    cache.put("pods", pod("found", version=4))
    unreported = cache.repair("pods", {"uid-found": 4}, version=5)

    assert unreported == ["uid-found"]
    assert {each["metadata"]["name"] for each in cache.pods("shop")} == {"found", "newer"}


def test_a_deleted_object_counts_as_reported() -> None:
    cache = ClusterCache()
    cache.observe("pods", False, pod(version=3))

    assert cache.has_reported("pods", "uid-a", 3)
    assert not cache.has_reported("pods", "uid-a", 4)
    cache.observe("pods", True, pod(version=4))
    assert cache.has_reported("pods", "uid-a", 9)


def test_an_annotated_pod_without_a_sidecar_is_missed_until_it_ends() -> None:
    assert is_missed(pod(sidecar=False))
    assert not is_missed(pod(sidecar=True))
    assert not is_missed(pod(sidecar=False, phase="Succeeded"))


def test_a_pod_is_of_the_app_whose_components_it_mounts_whatever_its_labels_say() -> None:
    """Like a copy made by `kubectl debug --copy-to`: it has no labels."""
    cache = ClusterCache()
    for name, labels in (("copied", {}), ("relabelled", {"dapr.io/app-id": "other"})):
        mounting = pod(name)
        mounting["metadata"]["labels"] = labels
        mounting["spec"]["volumes"][0]["secret"] = {"secretName": "orders-pannier"}
        cache.observe("pods", False, mounting)
    by_hand = pod("by-hand")
    by_hand["spec"]["volumes"][0]["secret"] = {"secretName": "a-secret-of-its-own"}
    cache.observe("pods", False, by_hand)

    assert cache.running_apps("shop") == {"orders", "by-hand"}
