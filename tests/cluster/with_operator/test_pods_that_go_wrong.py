"""Problems of a pod are reported where a human looks, and a healthy start reports nothing."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

from cluster.manifests import SLEEP, component, deployment, pod_template
from cluster.release import get

if TYPE_CHECKING:
    from cluster.user import User


def test_the_sidecar_has_no_token_of_the_cluster_where_the_app_has_one(user: User) -> None:
    with_token = json.loads(deployment("orders"))
    with_token["spec"]["template"]["spec"]["automountServiceAccountToken"] = True
    user.apply(component(), json.dumps(with_token))
    user.deployed("orders")

    pod = user.pod("orders")["metadata"]["name"]
    listing = "import os; print(os.listdir('/var/run/secrets/kubernetes.io/serviceaccount'))"
    in_app = user.kubectl("exec", pod, "-c", "app", "--", "python", "-c", listing)
    in_sidecar = user.kubectl("exec", pod, "-c", "daprd", "--", "python", "-c", listing)
    assert "token" in in_app
    assert in_sidecar.strip() == "[]"


def test_a_sidecar_that_is_up_within_a_second_leaves_no_warning(user: User) -> None:
    user.apply(component(), deployment("orders", replicas=2))
    user.deployed("orders")

    events = get(user.cluster, "events", user.namespace)
    warned = {
        each["involvedObject"]["name"] for each in events if "probe" in each["message"] and each["type"] == "Warning"
    }
    for pod in user.pods("-l", "app=orders"):
        name = pod["metadata"]["name"]
        (sidecar,) = pod["status"]["initContainerStatuses"]
        began = datetime.fromisoformat(sidecar["state"]["running"]["startedAt"])  # in whole seconds
        logged = user.kubectl("logs", name, "-c", "daprd", "--timestamps").splitlines()
        (served,) = [line.partition(" ")[0] for line in logged if "serving app" in line]
        took = datetime.fromisoformat(served[:19] + "+00:00") - began
        assert name not in warned or took.total_seconds() >= 1


def test_mistakes_in_a_template_are_warned_of_and_stay_visible_on_the_deployment(user: User) -> None:
    asked = deployment("orders", annotations={"dapr.io/app_id": "x", "dapr.io/log-level": "loud"})
    applied = user.tries("apply", "-f", "-", input=asked)
    assert applied.returncode == 0
    assert "did you mean dapr.io/app-id?" in applied.stderr
    assert "'loud' has no effect" in applied.stderr

    def kinds_with_an_event() -> set[str]:
        return {each["involvedObject"]["kind"] for each in user.events("AnnotationWithoutEffect")}

    user.until(lambda: kinds_with_an_event() == {"Pod", "Deployment"}, "both have an Event")


def test_a_limit_range_that_refuses_the_sidecar_is_named_with_the_annotation_to_write(user: User) -> None:
    limits = {"limits": [{"type": "Container", "max": {"memory": "64Mi"}, "default": {"memory": "64Mi"}}]}
    user.apply(json.dumps({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}, "spec": limits}))
    applied = user.tries("apply", "-f", "-", input=deployment("orders"))
    assert "write the annotation dapr.io/sidecar-memory-limit: '64Mi'" in applied.stderr

    def failures() -> list[str]:
        return [each["message"] for each in user.events("FailedCreate")]

    user.until(
        lambda: any("dapr.io/sidecar-memory-limit: '64Mi'" in each for each in failures()), "its owner has an Event"
    )
    user.apply(component(), deployment("orders", annotations={"dapr.io/sidecar-memory-limit": "64Mi"}))
    user.deployed("orders")


def test_a_job_made_by_hand_from_a_cron_job_has_its_app_id(user: User) -> None:
    job = {"spec": {"template": pod_template(SLEEP, restart_policy="Never"), "backoffLimit": 0}}
    cron_job = {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": job}
    manifest = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"}, "spec": cron_job}
    user.apply(component(), json.dumps(manifest))
    user.kubectl("create", "job", "try-it", "--from=cronjob/nightly")

    def labels() -> list[str]:
        return [each["metadata"]["labels"].get("dapr.io/app-id", "") for each in user.pods("-l", "job-name=try-it")]

    user.until(lambda: labels() == ["nightly"], "its pod is there")


def test_a_component_of_most_of_a_mebibyte_can_be_changed_and_labelled(user: User) -> None:
    large = component("large", remarks="x" * (700 * 1024))
    user.kubectl("create", "-f", "-", input=large)
    user.kubectl("label", "components.dapr.io/large", "team=a")
    assert user.kubectl("get", "components.dapr.io/large", "-o", "jsonpath={.metadata.labels.team}") == "a"
