"""python -m cluster.demo: installs Pannier, runs the example, and shows its count growing while a pod is killed."""

from __future__ import annotations

import time

from cluster import choice, release
from cluster.access import Cluster
from cluster.release import Release, example, get, until

NAMESPACE = "pannier-demo"
SECONDS = 6


def main() -> None:
    with choice.any_cluster() as cluster:
        install(cluster)
        run(cluster)


def install(cluster: Cluster) -> None:
    print("--- the images, and the chart")
    release.load_images(cluster)
    print(Release(cluster).install().split("NOTES:")[0].strip())


def run(cluster: Cluster) -> None:
    cluster.try_kubectl("create", "namespace", NAMESPACE)
    for file in ("redis.yaml", "component.yaml", "counter.yaml"):
        print(cluster.kubectl("apply", "-n", NAMESPACE, "-f", "-", input=example(file)).strip())
    cluster.kubectl("rollout", "status", "-n", NAMESPACE, "deployment/counter", "--timeout=120s")
    cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Ready", "component/statestore", "--timeout=60s")
    print(cluster.kubectl("get", "-n", NAMESPACE, "components.dapr.io,pods"))
    before = show(cluster)
    pod = counter_pod(cluster)
    print(f"--- {pod} is killed")
    cluster.kubectl("delete", "pod", "-n", NAMESPACE, pod, "--grace-period=1")
    cluster.kubectl("rollout", "status", "-n", NAMESPACE, "deployment/counter", "--timeout=120s")
    after = until(lambda: show(cluster), "the next pod counts")
    assert after > before, f"it counted {before} visits, and then {after}"
    print(f"--- the count went on from {before}, in another pod: {after}")


def show(cluster: Cluster) -> int:
    """Print the counter's answers for some seconds; return the last count."""
    time.sleep(SECONDS)
    lines = cluster.kubectl("logs", "-n", NAMESPACE, counter_pod(cluster), "-c", "app", f"--tail={SECONDS}")
    print(lines.strip())
    counts = [int(line.split()[-1]) for line in lines.splitlines() if line.startswith("this is visit")]
    return counts[-1] if counts else 0


def counter_pod(cluster: Cluster) -> str:
    pods = get(cluster, "pods", NAMESPACE, "-l", "app=counter")
    return next(pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"])


if __name__ == "__main__":
    main()
