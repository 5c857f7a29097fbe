"""Which pods get a sidecar, which are refused with which message, and which only get warnings."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from unit.tables import each_row

from pannier_operator.admission.pods import PodVerdict, mutate
from pannier_operator.cluster.server_version import parse_server_version
from pannier_operator.injection.plan import TOKEN_MASK_VOLUME, TOKEN_PATH
from pannier_operator.objects.app_ids import app_id_of
from pannier_operator.settings import OperatorSettings, OwnPlace, SidecarSettings

SETTINGS = OperatorSettings()
ENABLED = {"dapr.io/enabled": "true"}


def pod(
    annotations: dict[str, str] | None = None, spec: dict[str, Any] | None = None, **metadata: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "orders", "annotations": {**ENABLED, **(annotations or {})}, **metadata},
        "spec": {"containers": [{"name": "orders", "image": "orders:1"}], **(spec or {})},
    }


def judged(
    asked: dict[str, Any],
    labels: dict[str, str] | None = None,
    settings: OperatorSettings = SETTINGS,
    namespace: str = "shop",
    version: tuple[int, int] = (1, 35),
) -> PodVerdict:
    before = deepcopy(asked)
    verdict = mutate(asked, labels or {}, settings, namespace=namespace, server_version=version)
    assert asked == before
    if verdict.errors:
        assert verdict.pod is asked
    return verdict


def sidecar_of(verdict: PodVerdict, kind: str = "initContainers") -> dict[str, Any]:
    (sidecar,) = [each for each in verdict.pod["spec"].get(kind, []) if each["name"] == "daprd"]
    return dict(sidecar)


def args_of(verdict: PodVerdict, kind: str = "initContainers") -> list[str]:
    return list(sidecar_of(verdict, kind)["args"])


# --- whether a pod gets a sidecar -------------------------------------------------------------------------------------


def test_an_enabled_pod_gets_a_sidecar() -> None:
    verdict = judged(pod())
    assert verdict.is_admitted
    assert verdict.warnings == ()
    assert sidecar_of(verdict)["restartPolicy"] == "Always"


@pytest.mark.parametrize("metadata", [{}, {"annotations": None}, {"annotations": {"dapr.io/enabled": "false"}}])
def test_a_pod_that_asks_for_no_sidecar_is_unchanged(metadata: dict[str, Any]) -> None:
    asked = {"metadata": metadata, "spec": {"containers": []}}
    verdict = judged(asked)
    assert verdict.pod is asked
    assert verdict.warnings == ()


def test_a_pod_without_anything_stays_as_it_is() -> None:
    assert judged({}) == PodVerdict(pod={})


@pytest.mark.parametrize("kind", ["containers", "initContainers"])
def test_a_pod_with_a_sidecar_stays_as_it_is_even_with_mistakes(kind: str) -> None:
    asked = pod({"dapr.io/app-id": "NO DNS NAME"}, spec={kind: [{"name": "daprd"}]})
    assert judged(asked) == PodVerdict(pod=asked)


def test_an_injected_pod_asked_about_again_stays_as_it_is() -> None:
    once = dict(judged(pod()).pod)
    assert judged(once).pod is once


@pytest.mark.parametrize("namespace", ["kube-system", "kube-public", "kube-node-lease"])
def test_the_clusters_own_pods_are_never_touched_nor_refused(namespace: str) -> None:
    asked = pod({"dapr.io/app-id": "NO DNS NAME"})
    verdict = judged(asked, {"pannier.dev/injection": "required"}, namespace=namespace)
    assert verdict.pod is asked
    assert verdict.is_admitted
    assert verdict.warnings == (f"no sidecar is injected: pods of {namespace} are the cluster's own",)


def test_the_operators_own_pods_are_never_touched_nor_refused() -> None:
    asked = pod(labels={"app.kubernetes.io/name": "pannier"})
    verdict = judged(asked, {"pannier.dev/injection": "required"}, namespace="pannier-system")
    assert verdict.pod is asked
    assert verdict.warnings == ("no sidecar is injected: the pod is one of Pannier's own",)


def test_an_app_in_the_operators_namespace_gets_its_sidecar() -> None:
    assert sidecar_of(judged(pod(), namespace="pannier-system"))


def test_an_app_elsewhere_may_be_called_pannier() -> None:
    assert sidecar_of(judged(pod(labels={"app.kubernetes.io/name": "pannier"})))


def test_a_static_pod_gets_a_warning_to_add_the_sidecar_to_its_file() -> None:
    verdict = judged(pod({"kubernetes.io/config.mirror": "abc"}))
    assert verdict.warnings == (
        "no sidecar is injected: the kubelet runs a static pod as its file says; add the sidecar to the file",
    )


@pytest.mark.parametrize("spec", [{"os": {"name": "windows"}}, {"nodeSelector": {"kubernetes.io/os": "windows"}}])
def test_a_pod_on_windows_is_let_through_with_a_warning(spec: dict[str, Any]) -> None:
    asked = pod(spec=spec)
    verdict = judged(asked)
    assert verdict.pod is asked
    assert verdict.warnings == ("no sidecar can be injected: the pod runs on Windows and the sidecar's image on Linux",)


def test_a_pod_on_windows_is_refused_where_a_sidecar_is_required() -> None:
    verdict = judged(pod(spec={"os": {"name": "windows"}}), {"pannier.dev/injection": "required"})
    assert verdict.refusal == (
        "no sidecar can be injected: the pod runs on Windows and the sidecar's image on Linux; "
        "its namespace requires one (pannier.dev/injection: required)"
    )


def test_a_namespace_that_is_not_watched_is_named() -> None:
    settings = replace(SETTINGS, operator=OwnPlace(watched_namespaces=("a", "b")))
    assert judged(pod(), settings=settings).warnings == (
        "no sidecar can be injected: namespace shop is not among those that Pannier watches",
    )
    assert sidecar_of(judged(pod(), settings=settings, namespace="b"))


# --- the app id -------------------------------------------------------------------------------------------------------


def owned(kind: str, name: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    owner = {"kind": kind, "name": name, "controller": True}
    metadata = {"generateName": f"{name}-", "labels": labels or {}, "ownerReferences": [{"kind": "Noise"}, owner]}
    return {"metadata": {"annotations": dict(ENABLED), **metadata}, "spec": {"containers": []}}


@each_row(
    ("asked", "app_id"),
    [
        (pod({"dapr.io/app-id": "cart"}), "cart"),
        (pod({"dapr.io/app-id": " cart "}), "cart"),
        (pod({"dapr.io/app-id": ""}), "orders"),
        (pod(), "orders"),
        (pod(name=None, generateName="orders-"), "orders"),
        (owned("ReplicaSet", "web-6d4cf56db6", {"pod-template-hash": "6d4cf56db6"}), "web"),
        (owned("ReplicaSet", "web-6d4cf56db6", {"rollouts-pod-template-hash": "6d4cf56db6"}), "web"),
        (owned("ReplicaSet", "web-by-hand"), "web-by-hand"),
        (owned("ReplicaSet", "web-by-hand", {"pod-template-hash": "other"}), "web-by-hand"),
        (owned("StatefulSet", "db"), "db"),
        (owned("DaemonSet", "agent"), "agent"),
        (owned("ReplicationController", "old"), "old"),
        (owned("Job", "import"), "import"),
        (owned("Job", "nightly-29934720"), "nightly"),
        (owned("Job", "import-20261123"), "import-20261123"),
        (owned("Job", "import-42"), "import-42"),
        (owned("StatefulSet", "db-29934720"), "db-29934720"),
        (owned("StatefulSet", "shop.db"), "shop.db"),
    ],
)
def test_the_app_id_is_the_annotation_else_the_workload_else_the_pod(asked: dict[str, Any], app_id: str) -> None:
    verdict = judged(asked)
    assert verdict.errors == ()
    assert f"--app-id={app_id}" in args_of(verdict)
    assert verdict.pod["metadata"]["labels"]["dapr.io/app-id"] == app_id
    assert {"name": "pannier-components", "secret": {"secretName": f"{app_id}-pannier"}} in verdict.pod["spec"][
        "volumes"
    ]


@each_row("app_id", ["Orders", "or ders", "-orders", "orders-", "or_ders", "a..b", "ördér", "a||b", "a/b"])
def test_an_invalid_app_id_is_refused_with_advice(app_id: str) -> None:
    assert judged(pod({"dapr.io/app-id": app_id})).refusal == (
        f"app id '{app_id}' is not a DNS name; write lower-case letters, digits and '-', with a letter or digit at "
        "both ends, in the annotation dapr.io/app-id"
    )


def test_an_app_id_of_63_characters_is_the_longest() -> None:
    assert judged(pod({"dapr.io/app-id": "a" * 63})).is_admitted
    verdict = judged(pod({"dapr.io/app-id": "a" * 64}))
    assert verdict.refusal.endswith("has 64 characters; write one of 63 at most, in the annotation dapr.io/app-id")


def test_an_owner_with_a_long_name_gets_advice_about_the_annotation() -> None:
    verdict = judged(owned("StatefulSet", "s" * 70))
    assert "has 70 characters; write one of 63 at most, in the annotation dapr.io/app-id" in verdict.refusal


def test_a_pod_without_any_name_gets_advice_about_the_annotation() -> None:
    verdict = judged(pod(name=None))
    assert verdict.refusal.startswith("app id '' is not a DNS name; write ")
    assert verdict.refusal.endswith("in the annotation dapr.io/app-id")


def test_an_injected_pod_keeps_its_app_id_whatever_becomes_of_it() -> None:
    injected = deepcopy(dict(judged(owned("ReplicaSet", "web-6d4", {"pod-template-hash": "6d4"})).pod))
    assert app_id_of(injected) == "web"
    del injected["metadata"]["ownerReferences"]
    injected["metadata"]["annotations"]["dapr.io/app-id"] = "edited-later"
    assert app_id_of(injected) == "web"


def test_a_label_that_names_another_app_is_refused() -> None:
    assert judged(pod(labels={"dapr.io/app-id": "cart"})).refusal == (
        "label dapr.io/app-id: 'cart' is not the app id, 'orders'; take the label out, or write the same into the "
        "annotation dapr.io/app-id"
    )


# --- refusals --------------------------------------------------------------------------------------------------


def test_a_volume_of_the_sidecars_name_is_refused() -> None:
    verdict = judged(pod(spec={"volumes": [{"name": "pannier-components", "emptyDir": {}}]}))
    assert verdict.refusal == "volume 'pannier-components' has the name of one of the sidecar's volumes; rename it"


def test_a_request_above_its_limit_is_refused_by_the_names_of_the_annotations() -> None:
    verdict = judged(pod({"dapr.io/sidecar-memory-request": "1Gi", "dapr.io/sidecar-memory-limit": "512Mi"}))
    assert verdict.refusal == (
        "annotation dapr.io/sidecar-memory-request: '1Gi' is more than dapr.io/sidecar-memory-limit, '512Mi'; "
        "write a smaller request"
    )


@pytest.mark.parametrize("port", ["3500", "3501"])
def test_metrics_on_another_port_of_the_sidecar_are_refused(port: str) -> None:
    assert judged(pod({"dapr.io/metrics-port": port})).refusal == (
        f"annotation dapr.io/metrics-port: {port} is another port of the sidecar; write one that is free"
    )
    assert judged(pod({"dapr.io/metrics-port": port, "dapr.io/enable-metrics": "false"})).is_admitted


def test_all_refusals_and_warnings_come_at_once() -> None:
    verdict = judged(pod({"dapr.io/app-id": "A", "dapr.io/metrics-port": "3501", "dapr.io/log-level": "loud"}))
    assert verdict.refusal.startswith("2 problems\n- app id 'A' is not a DNS name")
    assert verdict.warnings == (
        "annotation dapr.io/log-level: 'loud' has no effect; write debug, info, warn, error or fatal",
    )


# --- native or not ----------------------------------------------------------------------------------------------------


@each_row(
    ("version", "setting", "annotation", "is_native"),
    [
        ((1, 28), "auto", None, False),
        ((1, 29), "auto", None, True),
        ((2, 0), "auto", None, True),
        ((1, 35), "never", None, False),
        ((1, 35), "never", "true", True),
        ((1, 35), "always", None, True),
        ((1, 35), "always", "false", False),
        ((1, 35), "auto", "false", False),
        ((1, 28), "always", None, False),
        ((1, 28), "auto", "true", False),
    ],
)
def test_a_sidecar_is_native_if_kubernetes_supports_it_and_no_setting_forbids_it(
    version: tuple[int, int], setting: Any, annotation: str | None, is_native: bool
) -> None:
    settings = replace(SETTINGS, sidecar=SidecarSettings(native=setting))
    annotations = {} if annotation is None else {"dapr.io/enable-native-sidecar": annotation}
    verdict = judged(pod(annotations), settings=settings, version=version)
    sidecar = sidecar_of(verdict, "initContainers" if is_native else "containers")
    assert ("restartPolicy" in sidecar) == is_native


def test_asking_for_a_native_sidecar_on_an_old_cluster_warns() -> None:
    verdict = judged(pod({"dapr.io/enable-native-sidecar": "true"}), version=(1, 28))
    assert verdict.warnings == (
        "annotation dapr.io/enable-native-sidecar has no effect; native sidecars need Kubernetes 1.29",
    )


def test_a_job_with_an_ordinary_sidecar_gets_the_warning_that_it_never_ends() -> None:
    assert judged(owned("Job", "import")).warnings == ()
    assert judged(owned("Job", "import"), version=(1, 28)).warnings == (
        "the Job never ends while its sidecar runs: let the app call POST /v1.0/shutdown at its end, or use a native "
        "sidecar (Kubernetes 1.29)",
    )


@pytest.mark.parametrize(
    ("info", "version"),
    [({"major": "1", "minor": "35"}, (1, 35)), ({"major": "1", "minor": "29+"}, (1, 29))],
)
def test_the_servers_version_is_read(info: dict[str, str], version: tuple[int, int]) -> None:
    assert parse_server_version(info) == version


@pytest.mark.parametrize("info", [{}, {"major": "1"}, {"major": "one", "minor": "x"}])
def test_an_invalid_version_is_an_error(info: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="no version of Kubernetes"):
        parse_server_version(info)


# --- ending -----------------------------------------------------------------------------------------------------------


def blocks(verdict: PodVerdict, kind: str = "initContainers") -> list[str]:
    return [arg.partition("=")[2] for arg in args_of(verdict, kind) if arg.startswith("--block-shutdown-duration")]


def test_a_native_sidecar_needs_no_delay_since_it_is_ended_after_the_app() -> None:
    assert blocks(judged(pod())) == []


@pytest.mark.parametrize(("grace", "expected"), [(None, ["5s"]), (60, ["5s"]), (10, ["4s"]), (6, []), (0, []), (1, [])])
def test_an_ordinary_sidecar_serves_on_as_far_as_the_grace_period_allows(
    grace: int | None, expected: list[str]
) -> None:
    spec = {} if grace is None else {"terminationGracePeriodSeconds": grace}
    verdict = judged(pod(spec=spec), version=(1, 28))
    assert blocks(verdict, "containers") == expected
    assert verdict.warnings == ()


def test_a_requested_delay_is_kept_with_a_warning_if_the_pod_is_killed_earlier() -> None:
    annotations = {"dapr.io/block-shutdown-duration": "40s"}
    verdict = judged(pod(annotations))
    assert blocks(verdict) == ["40s"]
    assert verdict.warnings == (
        "the sidecar may take 46 s to end (dapr.io/block-shutdown-duration, dapr.io/graceful-shutdown-seconds) and is "
        "killed after 30 s; write terminationGracePeriodSeconds: 46",
    )
    assert judged(pod(annotations, spec={"terminationGracePeriodSeconds": 46})).warnings == ()


# --- warnings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotations", "port", "warning"),
    [
        (
            {},
            9090,
            "container 'orders' has port 9090, which the sidecar needs for metrics; write another port into the "
            "annotation dapr.io/metrics-port",
        ),
        ({"dapr.io/metrics-port": "9091"}, 9090, None),
        ({"dapr.io/enable-metrics": "false"}, 9090, None),
        (
            {},
            3500,
            "container 'orders' has port 3500, which the sidecar needs for the API; let the app listen on another port",
        ),
        ({"dapr.io/unix-domain-socket-path": "/s"}, 3500, None),
        (
            {},
            3501,
            "container 'orders' has port 3501, which the sidecar needs for the public port; let the app listen on "
            "another port",
        ),
        (
            {"dapr.io/app-port": "3500"},
            8000,
            "annotation dapr.io/app-port has port 3500, which the sidecar needs for the API; let the app listen on "
            "another port",
        ),
    ],
)
def test_a_port_that_two_containers_want_warns(annotations: dict[str, str], port: int, warning: str | None) -> None:
    containers = [{"name": "orders", "ports": [{"containerPort": port}]}]
    verdict = judged(pod(annotations, spec={"containers": containers}))
    assert verdict.warnings == ((warning,) if warning else ())


def test_a_socket_where_a_container_mounts_something_else_warns() -> None:
    containers = [{"name": "mail", "volumeMounts": [{"name": "mails", "mountPath": "/s"}]}]
    verdict = judged(pod({"dapr.io/unix-domain-socket-path": "/s"}, spec={"containers": containers}))
    assert verdict.warnings == ("container 'mail' mounts something else at /s and does not see the sidecar's socket",)


def test_two_mounts_at_one_path_keep_the_first() -> None:
    annotations = {"dapr.io/volume-mounts": "a:/x,b:/components", "dapr.io/volume-mounts-rw": "b:/x"}
    verdict = judged(pod(annotations, spec={"volumes": [{"name": "a"}, {"name": "b"}]}))
    assert [mount["mountPath"] for mount in sidecar_of(verdict)["volumeMounts"]] == ["/components", TOKEN_PATH, "/x"]
    assert verdict.warnings == (
        "annotation dapr.io/volume-mounts: 'b:/components' has no effect; something else is mounted there; "
        "write another path",
        "annotation dapr.io/volume-mounts-rw: 'b:/x' has no effect; something else is mounted there; "
        "write another path",
    )


@pytest.mark.parametrize("path", [TOKEN_PATH, f"{TOKEN_PATH}/token"])
def test_the_sidecar_gets_no_token_of_the_cluster_whatever_the_pod_asks_for(path: str) -> None:
    annotations = {"dapr.io/volume-mounts": f"api:{path}"}
    spec = {"volumes": [{"name": "api", "projected": {}}], "automountServiceAccountToken": True}
    verdict = judged(pod(annotations, spec=spec))
    mounts = {mount["mountPath"]: mount["name"] for mount in sidecar_of(verdict)["volumeMounts"]}
    assert mounts == {"/components": "pannier-components", TOKEN_PATH: TOKEN_MASK_VOLUME}
    assert {"name": TOKEN_MASK_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "4Ki"}} in verdict.pod["spec"][
        "volumes"
    ]
    assert verdict.warnings == (
        f"annotation dapr.io/volume-mounts: 'api:{path}' has no effect; a sidecar gets no credentials of the cluster; "
        "write another path",
    )


# --- settings ---------------------------------------------------------------------------------------------------------


def test_settings_fill_in_what_annotations_leave_out() -> None:
    sidecar = SidecarSettings(
        image="example/pannier:2",
        image_pull_policy="Never",
        image_pull_secrets=("registry", "there"),
        profile="dapr",
        log_level="warn",
        log_as_json=True,
        run_as_user=None,
        cpu_limit="1",
        memory_request="",
        memory_limit="",
    )
    verdict = judged(
        pod(spec={"imagePullSecrets": [{"name": "there"}]}),
        settings=replace(SETTINGS, sidecar=sidecar),
    )
    container = sidecar_of(verdict)
    assert container["image"] == "example/pannier:2"
    assert container["imagePullPolicy"] == "Never"
    assert container["resources"] == {"requests": {"cpu": "10m"}, "limits": {"cpu": "1"}}
    assert "runAsUser" not in container["securityContext"]
    assert {"--profile=dapr", "--log-level=warn", "--log-as-json=true"} <= set(container["args"])
    assert verdict.pod["spec"]["imagePullSecrets"] == [{"name": "there"}, {"name": "registry"}]


@pytest.mark.parametrize(
    ("annotations", "request_", "limit"),
    [
        ({}, "32Mi", "128Mi"),
        ({"dapr.io/sidecar-memory-limit": "24Mi"}, "24Mi", "24Mi"),
        ({"dapr.io/sidecar-memory-limit": "0.06G"}, "32Mi", "0.06G"),
        ({"dapr.io/sidecar-memory-request": "1Gi"}, "1Gi", "1Gi"),
        ({"dapr.io/sidecar-memory-request": "1e6"}, "1e6", "128Mi"),
    ],
)
def test_an_annotation_overrides_a_default(annotations: dict[str, str], request_: str, limit: str) -> None:
    resources = sidecar_of(judged(pod(annotations)))["resources"]
    assert (resources["requests"]["memory"], resources["limits"]["memory"]) == (request_, limit)
