"""What the operator keeps of the cluster: the latest version of what matters, whatever order it is told in."""

from __future__ import annotations

from typing import Any

from pannier_operator.cluster.cache import ClusterCache, is_missed, is_ours


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


def test_a_pod_that_asks_for_nothing_is_not_kept() -> None:
    state = ClusterCache()

    assert not state.observe("pods", False, pod(enabled=None, sidecar=False))
    assert state.pods("shop") == []


def test_a_pod_is_kept_without_what_no_look_needs() -> None:
    state = ClusterCache()
    told = pod()
    told["metadata"]["annotations"]["example.com/notes"] = "x" * 10_000
    state.observe("pods", False, told)

    kept = state.pods("shop")[0]
    assert list(kept["spec"]["containers"]) == [{"name": "app"}]
    assert kept["metadata"]["annotations"] == {"dapr.io/enabled": "true"}
    assert "managedFields" not in kept["metadata"]
    assert is_ours(kept)


def test_the_same_version_told_twice_is_no_reason_to_look() -> None:
    state = ClusterCache()

    assert state.observe("pods", False, pod())
    assert not state.observe("pods", False, pod())
    assert not state.observe("pods", False, pod(version=2))
    assert state.observe("pods", False, pod(version=3, podIP="10.0.0.2"))


def test_an_older_version_does_not_replace_a_newer_one() -> None:
    state = ClusterCache()
    state.put("pods", pod(version=5, podIP="10.0.0.5"))

    assert not state.observe("pods", False, pod(version=4, podIP="10.0.0.4"))
    assert state.pods("shop")[0]["status"]["podIP"] == "10.0.0.5"


def test_the_end_of_an_earlier_object_of_that_name_changes_nothing() -> None:
    state = ClusterCache()
    state.observe("secrets", False, secret("password"))
    earlier = secret("password")
    earlier["metadata"]["uid"] = "earlier"

    assert not state.observe("secrets", True, earlier)
    assert state.secret("shop", "password") is not None


def test_of_secrets_that_are_not_ours_only_the_keys_are_kept() -> None:
    state = ClusterCache()
    state.observe("secrets", False, secret("password", redis="c2VjcmV0"))
    state.observe("secrets", False, secret("shop-pannier", own=True, file="Zg=="))

    assert state.secret("shop", "password")["data"] == {"redis": ""}  # type: ignore[index]
    (own,) = state.own_secrets("shop")
    assert list(own["data"]) == ["file"]
    assert "Zg==" not in own["data"].values(), "of ours a digest, to compare with"


def test_a_listing_repairs_what_watches_have_missed() -> None:
    state = ClusterCache()
    state.observe("pods", False, pod("gone", version=3))
    state.observe("pods", False, pod("newer", version=9))

    state.put("pods", pod("found", version=4))
    missed = state.repair("pods", {"uid-found": 4}, version=5)

    assert missed == ["uid-found"]
    assert {each["metadata"]["name"] for each in state.pods("shop")} == {"found", "newer"}


def test_a_watch_has_told_of_what_it_has_told_the_end_of() -> None:
    state = ClusterCache()
    state.observe("pods", False, pod(version=3))

    assert state.has_reported("pods", "uid-a", 3)
    assert not state.has_reported("pods", "uid-a", 4)
    state.observe("pods", True, pod(version=4))
    assert state.has_reported("pods", "uid-a", 9)


def test_an_annotated_pod_without_a_sidecar_is_missed_until_it_ends() -> None:
    assert is_missed(pod(sidecar=False))
    assert not is_missed(pod(sidecar=True))
    assert not is_missed(pod(sidecar=False, phase="Succeeded"))
