"""A sidecar reads Kubernetes Secrets itself, with the rights of a service account or of a kubeconfig."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import yaml
from cluster.access import Cluster
from servers.rotated_secret import NEW, rotated, serving
from servers.secret_servers import read, read_all

from pannier_sidecar.secret_reader import SecretMissingError, SecretStoreFailedError

KIND = "secretstores.kubernetes"
RIGHTS = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: read-secrets}
rules: [{apiGroups: [""], resources: [secrets], verbs: [VERBS]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: read-secrets}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: read-secrets}
subjects: [{kind: ServiceAccount, name: shop}]
"""


@pytest.fixture
def account(cluster: Cluster, namespace: str, tmp_path: Path) -> dict[str, str]:
    """The fields of a component that signs in as a service account, which may get and list Secrets."""
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=RIGHTS.replace("VERBS", "get, list"))
    config = yaml.safe_load(cluster.kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "yaml"))
    server = config["clusters"][0]["cluster"]
    folder = tmp_path / "account"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(base64.b64decode(server["certificate-authority-data"]))
    (folder / "token").write_text(cluster.kubectl("create", "token", "shop", "-n", namespace))
    (folder / "namespace").write_text(namespace)
    return {"serviceAccountPath": str(folder), "apiServer": server["server"]}


def put(cluster: Cluster, namespace: str, name: str, **content: str | bytes) -> None:
    data = {
        key: base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()
        for key, text in content.items()
    }
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps(manifest))


def test_secrets_are_read_as_a_service_account(cluster: Cluster, namespace: str, account: dict[str, str]) -> None:
    put(cluster, namespace, "redis", password="x", port="6379", store=b"\xff\xfe")
    for number in range(45):
        put(cluster, namespace, f"other-{number}", n=str(number))
    assert read(KIND, account, "redis") == {"password": "x", "port": "6379"}
    every = read_all(KIND, account)
    assert every["redis"] == {"password": "x", "port": "6379"}
    assert {name for name in every if name.startswith("other-")} == {f"other-{number}" for number in range(45)}
    with pytest.raises(SecretMissingError, match=f"there is no Secret 'nothing' in namespace '{namespace}'"):
        read(KIND, account, "nothing")
    with pytest.raises(SecretStoreFailedError, match="let a Role allow 'get' on secrets in namespace 'kube-system'"):
        read(KIND, account, "redis", namespace="kube-system")
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=RIGHTS.replace("VERBS", "get"))
    with pytest.raises(SecretStoreFailedError, match="let a Role allow 'list' on secrets"):
        read_all(KIND, account)
    Path(account["serviceAccountPath"], "token").write_text("no-token")
    with pytest.raises(SecretStoreFailedError, match="does not take the token or certificate .401.; check service"):
        read(KIND, account, "redis")


def test_secrets_are_read_as_the_user_of_a_kubeconfig(cluster: Cluster, namespace: str) -> None:
    put(cluster, namespace, "redis", password="x")
    settings = {"kubeconfigPath": str(cluster.kubeconfig), "defaultNamespace": namespace}
    assert read(KIND, settings, "redis") == {"password": "x"}


def test_a_password_is_rotated_without_a_failed_call(
    cluster: Cluster, namespace: str, account: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "components"
    folder.mkdir()
    fields = {**account, "refreshInterval": "500ms"}
    manifest = {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": "kubernetes"},
        "spec": {
            "type": KIND,
            "version": "v1",
            "metadata": [{"name": name, "value": value} for name, value in fields.items()],
        },
    }
    (folder / "kubernetes.yaml").write_text(yaml.safe_dump(manifest))
    write = lambda password: put(cluster, namespace, "redis", password=password)  # noqa: E731
    place = {"NAMESPACE": namespace}
    with serving(folder) as serve, rotated(folder, serve, "kubernetes", write, environment=place) as pannier:
        assert json.loads(pannier.call("/v1.0/secrets/kubernetes/redis")[1]) == {"password": NEW}
        other = pannier.call("/v1.0/secrets/kubernetes/redis?metadata.namespace=kube-system")
        assert other[0] == 500 and "let a Role allow 'get'" in other[1]
