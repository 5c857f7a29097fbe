"""Components that a socket may serve: which types are admitted, and the containers that pods get."""

import json
from typing import Any

import pytest
from unit.tables import each_row

from pannier_crds.component import Component
from pannier_operator.admission.components import judge
from pannier_operator.admission.pods import asks_for_components, mutate
from pannier_operator.injection.pluggable import MAX_CONTAINERS, containers_of
from pannier_operator.objects.namespace_components import NamespaceComponents, component_in
from pannier_operator.settings import OperatorSettings

CONTAINER = "dapr.io/component-container"


def manifest(kind: str = "state.ledger", name: str = "orders", container: Any = None, **top: Any) -> dict[str, Any]:
    text = container if isinstance(container, str) else json.dumps(container)
    annotations = {} if container is None else {CONTAINER: text}
    metadata = {"name": name, "namespace": "shop", "annotations": annotations}
    spec = {"type": kind, "version": "v1", "metadata": [{"name": "file", "value": "x"}]}
    return {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": metadata, "spec": spec, **top}


def pod(annotations: dict[str, str], **spec: Any) -> dict[str, Any]:
    metadata = {"name": "orders", "annotations": {"dapr.io/enabled": "true", **annotations}}
    return {"metadata": metadata, "spec": {"containers": [{"name": "orders", "image": "orders:1"}], **spec}}


def injected(before: dict[str, Any], *components: dict[str, Any], version: tuple[int, int] = (1, 35)) -> Any:
    read = [component for each in components if (component := component_in(each)) is not None]
    return mutate(before, {}, OperatorSettings(), namespace="shop", server_version=version, components=read)


def test_an_unknown_type_is_admitted_with_a_warning() -> None:
    verdict = judge("CREATE", manifest(), None, ())
    assert verdict.is_admitted
    assert verdict.warnings == (
        "spec.type: 'state.ledger' is no type of Pannier's own, so a pluggable component must serve it; name its "
        "container in the annotation dapr.io/pluggable-components of pods",
    )


def test_with_its_container_there_is_no_warning() -> None:
    verdict = judge("CREATE", manifest(container={"image": "ledger:1"}), None, ())
    assert (verdict.is_admitted, verdict.warnings) == (True, ())


@each_row(
    ["kind", "message"],
    [
        ("state.rediss", "spec.type: there is no component type 'state.rediss'; write 'state.redis'"),
        ("state.aerospike", "spec.type: 'state.aerospike' is a state store of Dapr's that Pannier does not serve; "),
        ("ledger", "spec.type: there is no component type 'ledger'; write "),
    ],
)
def test_types_that_look_misspelt_are_refused(kind: str, message: str) -> None:
    assert judge("CREATE", manifest(kind), None, ()).refusal.startswith(message)


@each_row(
    ["container", "message"],
    [
        ("{", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ([1], "it is not a container"),
        ({"name": "x"}, "it has no image"),
        ({"image": 5}, "its image is not text"),
        ({"image": "x", "name": ["y"]}, "its name is not text"),
        ({"image": "x", "env": {"A": "b"}}, "its env is not a list of entries with a name"),
        (
            {"image": "x", "volumeMounts": [{"mountPath": "/x"}]},
            "its volumeMounts is not a list of entries with a name",
        ),
    ],
)
def test_a_wrong_container_is_refused(container: Any, message: str) -> None:
    verdict = judge("CREATE", manifest(container=container), None, ())
    advice = 'write JSON, such as {"image": "example.com/ledger:1"}'
    assert verdict.refusal == f"metadata.annotations[{CONTAINER}]: {message}; {advice}"
    assert containers_of([Component.from_manifest(manifest(container=container))]) == []


def test_it_is_delivered_with_its_annotation() -> None:
    described = manifest(container={"image": "ledger:1"})
    (accepted,) = NamespaceComponents([described]).accepted()
    written = accepted.to_manifest()
    assert written["metadata"]["annotations"] == described["metadata"]["annotations"]
    assert [each.name for each in NamespaceComponents([manifest()]).accepted()] == ["orders"]


def test_each_image_is_added_once_and_not_too_many() -> None:
    components = [manifest(name=f"c{number:02}", container={"image": f"i{number // 2}"}) for number in range(60)]
    containers = containers_of([Component.from_manifest(each) for each in components])
    assert len(containers) == MAX_CONTAINERS
    assert [(each["name"], each["image"]) for each in containers[:2]] == [("c00", "i0"), ("c02", "i1")]


def test_without_native_sidecars_the_container_stands_before_the_sidecar() -> None:
    verdict = injected(
        pod({"dapr.io/inject-pluggable-components": "true"}),
        manifest(name="ledger", container={"image": "ledger:1"}),
        version=(1, 28),
    )
    containers = verdict.pod["spec"]["containers"]
    assert [each["name"] for each in containers] == ["orders", "ledger", "daprd"]
    assert "restartPolicy" not in containers[1]


@each_row("wanted", ["", "false"])
def test_a_pod_that_does_not_ask_for_it_gets_none(wanted: str) -> None:
    asking = pod({"dapr.io/inject-pluggable-components": wanted})
    verdict = injected(asking, manifest(container={"image": "ledger:1"}))
    assert not asks_for_components(asking)
    assert [each["name"] for each in verdict.pod["spec"]["initContainers"]] == ["daprd"]
    assert all("unix" not in each["name"] for each in verdict.pod["spec"]["volumes"])


def test_injecting_again_changes_nothing() -> None:
    once = injected(
        pod({"dapr.io/inject-pluggable-components": "true"}), manifest(name="ledger", container={"image": "ledger:1"})
    ).pod
    assert injected(once, manifest(name="ledger", container={"image": "ledger:1"})).pod is once


def test_a_volume_of_the_pod_is_used_for_the_sockets() -> None:
    own = {"name": "dapr-components-unix-domain-socket", "emptyDir": {"medium": "Memory"}}
    before = pod({"dapr.io/pluggable-components": "orders"}, volumes=[own])
    volumes = injected(before).pod["spec"]["volumes"]
    assert [each for each in volumes if each["name"] == own["name"]] == [own]


@pytest.mark.parametrize("folder", ["/components", "/var/run/dapr-sockets"])
def test_a_folder_that_is_taken_is_refused(folder: str) -> None:
    annotations = {
        "dapr.io/pluggable-components": "orders",
        "dapr.io/pluggable-components-sockets-folder": folder,
    }
    assert injected(pod(annotations)).errors == (
        "annotation dapr.io/pluggable-components-sockets-folder: something else is mounted there; write another folder",
    )
