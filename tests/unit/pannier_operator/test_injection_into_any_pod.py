"""For every pod and every annotation, injection never breaks the pod, and the sidecar can always start."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from pannier_operator.admission.pods import mutate
from pannier_operator.injection.annotations import ACCEPTED, HONOURED, OLDER, read
from pannier_operator.injection.plan import Injection
from pannier_operator.injection.pod import inject
from pannier_operator.settings import OperatorSettings
from pannier_sidecar.cli.parsing import parse

SETTINGS = OperatorSettings()
TEXTS = some.one_of(
    some.sampled_from(
        [
            *("true", "false", "on", "", " ", "0", "-1", "1", "5", "3500", "3501", "9090", "8000", "70000"),
            *("spec", "dapr", "grpc", "debug", "warning", "Unconfined", "5s", "1m30s", "1000h", "4Mi", "64Mi", "1e3"),
            *("a", "data:/data", "data:/x,cache:/x", "data:/components", "A=1", "A=1,B=2,c,POD_NAME=x", "A=s:k,B=s"),
            *("/sockets", "[::1],127.0.0.1", "0.0.0.0", "::", "é", "x" * 300),
        ]
    ),
    some.text(max_size=12),
)
ANNOTATIONS = some.dictionaries(
    some.one_of(
        some.sampled_from([annotation.name for annotation in (*OLDER, *HONOURED, *ACCEPTED)]),
        some.text(max_size=10).map("dapr.io/{}".format),
        some.text(max_size=10),
    ),
    TEXTS,
    max_size=12,
)


def entries(names: list[str], **fields: some.SearchStrategy[Any]) -> some.SearchStrategy[Any]:
    """A list of named things, absent, null or empty as Kubernetes may write it."""
    entry = some.fixed_dictionaries({"name": some.sampled_from(names)}, optional=fields)
    return some.one_of(some.none(), some.lists(entry, max_size=3, unique_by=lambda each: str(each["name"])))


CONTAINERS = entries(
    ["app", "mail", "istio-proxy"],
    env=entries(["DAPR_HTTP_PORT", "APP_PROTOCOL", "runtime_GRPC_HOST", "OTHER"], value=some.just("mine")),
    ports=some.one_of(
        some.none(), some.lists(some.fixed_dictionaries({"containerPort": some.sampled_from([80, 3500, 9090])}))
    ),
    volumeMounts=some.one_of(
        some.none(),
        some.just([{"name": "data", "mountPath": "/sockets"}]),
        some.just([{"name": "x", "mountPath": "/x"}]),
    ),
)
PODS = some.fixed_dictionaries(
    {
        "metadata": some.fixed_dictionaries(
            {"annotations": ANNOTATIONS.map(lambda found: {**found, "dapr.io/enabled": "true"})},
            optional={
                "name": some.sampled_from(["orders", "UPPER", ""]),
                "generateName": some.just("orders-"),
                "labels": some.one_of(some.none(), some.just({"a": "b"}), some.just({"dapr.io/app-id": "orders"})),
                "ownerReferences": some.one_of(
                    some.none(), some.just([{"kind": "Job", "name": "job-29934720", "controller": True}])
                ),
            },
        ),
        "spec": some.fixed_dictionaries(
            {"containers": CONTAINERS},
            optional={
                "initContainers": CONTAINERS,
                "volumes": entries(["data", "cache", "dapr-unix-domain-socket"]),
                "imagePullSecrets": some.none(),
                "hostNetwork": some.booleans(),
                "terminationGracePeriodSeconds": some.one_of(some.none(), some.integers(0, 100)),
            },
        ),
    }
)
VERSIONS = some.sampled_from([(1, 28), (1, 35)])


def sidecars(pod: dict[str, Any]) -> list[dict[str, Any]]:
    spec = pod["spec"]
    found = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    return [container for container in found if container["name"] == "daprd"]


@given(pod=PODS, version=VERSIONS)
def test_a_pod_is_injected_or_refused_and_never_changed_in_place(pod: dict[str, Any], version: tuple[int, int]) -> None:
    before = deepcopy(pod)
    verdict = mutate(pod, {}, SETTINGS, namespace="shop", server_version=version)
    assert pod == before
    assert all(text and "\n" not in text for text in (*verdict.errors, *verdict.warnings))
    assert len(sidecars(dict(verdict.pod))) == (0 if verdict.errors else 1)


@given(pod=PODS, version=VERSIONS)
def test_injecting_twice_is_injecting_once(pod: dict[str, Any], version: tuple[int, int]) -> None:
    options, _ = read(pod["metadata"]["annotations"])
    injection = Injection("orders", options, SETTINGS.sidecar, version >= (1, 29))
    once = inject(pod, injection)
    assert inject(once, injection) == once


@given(pod=PODS, version=VERSIONS)
def test_the_pods_own_parts_are_still_there(pod: dict[str, Any], version: tuple[int, int]) -> None:
    verdict = mutate(pod, {}, SETTINGS, namespace="shop", server_version=version)
    for kind in ("initContainers", "containers"):
        after = {container["name"]: container for container in verdict.pod["spec"].get(kind) or []}
        for container in pod["spec"].get(kind) or []:
            injected = after[container["name"]]
            for part in ("env", "volumeMounts", "ports"):
                had = container.get(part) or []
                assert (injected.get(part) or [])[: len(had)] == had
            names = [variable["name"] for variable in injected.get("env") or []]
            assert len(names) == len(set(names))
    for key, value in (pod["metadata"].get("labels") or {}).items():
        assert verdict.pod["metadata"]["labels"][key] == value


@given(pod=PODS, version=VERSIONS)
def test_the_sidecar_passes_the_restricted_standard_and_kubernetes_rules(
    pod: dict[str, Any], version: tuple[int, int]
) -> None:
    verdict = mutate(pod, {}, SETTINGS, namespace="shop", server_version=version)
    for sidecar in sidecars(dict(verdict.pod)):
        context = sidecar["securityContext"]
        asked = pod["metadata"]["annotations"].get("dapr.io/sidecar-seccomp-profile-type", "")
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 0
        assert context["readOnlyRootFilesystem"] is True
        assert context["seccompProfile"]["type"] in {"RuntimeDefault", asked}
        for key, part in (
            ("mountPath", "volumeMounts"),
            ("containerPort", "ports"),
            ("name", "ports"),
            ("name", "env"),
        ):
            values = [entry[key] for entry in sidecar[part]]
            assert len(values) == len(set(values))
        volumes = [volume["name"] for volume in verdict.pod["spec"]["volumes"]]
        assert {mount["name"] for mount in sidecar["volumeMounts"]} <= set(volumes)
        assert len(volumes) == len(set(volumes))


@given(pod=PODS, version=VERSIONS)
def test_the_sidecar_understands_its_arguments(pod: dict[str, Any], version: tuple[int, int]) -> None:
    verdict = mutate(pod, {}, SETTINGS, namespace="shop", server_version=version)
    for sidecar in sidecars(dict(verdict.pod)):
        verb, *flags = sidecar["args"]
        parsed = parse(flags)
        assert verb == "serve"
        assert parsed.changes["app.id"] == verdict.pod["metadata"]["labels"]["dapr.io/app-id"]
        assert set(parsed.without_effect) <= {"config"}


@pytest.mark.parametrize("kind", ["containers", "initContainers"])
def test_a_native_sidecar_comes_first_and_an_ordinary_one_last(kind: str) -> None:
    options, _ = read({})
    pod = {"spec": {"containers": [{"name": "app"}], "initContainers": [{"name": "prepare"}]}}
    injected = inject(pod, Injection("orders", options, SETTINGS.sidecar, kind == "initContainers"))
    names = [container["name"] for container in injected["spec"][kind]]
    assert names == (["daprd", "prepare"] if kind == "initContainers" else ["app", "daprd"])
