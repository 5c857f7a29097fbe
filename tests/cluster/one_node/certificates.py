"""The cluster's certificate authority, the certificates that it signs, and kubeconfig files with both."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from cluster.one_node.addresses import Addresses

NODE = "node1"
CONTEXT = "pannier-test"
SUBJECTS = {
    "admin": "/O=system:masters/CN=admin",
    "kubelet-client": "/O=system:masters/CN=apiserver-kubelet-client",
    "controllers": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "proxy": "/CN=system:kube-proxy",
    "kubelet": f"/O=system:nodes/CN=system:node:{NODE}",
    "dns": "/O=system:masters/CN=dns",
}
"""The users. Each has a certificate, and each name has a role (Kubernetes' own bootstrap policy)."""

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def make_certificates(folder: Path, addresses: Addresses) -> None:
    """Make `ca`, `apiserver`, `accounts` (for service accounts), and a pair and a kubeconfig for each of SUBJECTS."""
    folder.mkdir()
    _openssl(folder, "req", "-x509", *_NEW_KEY, "-keyout", "ca.key", "-out", "ca.crt", "-days", "30", "-subj", "/CN=ca")
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    alternatives = [f"DNS:{name}" for name in names]
    alternatives += [f"IP:{address}" for address in (addresses.node, addresses.first_service, "127.0.0.1")]
    _sign(folder, "apiserver", "/CN=kube-apiserver", f"subjectAltName={','.join(alternatives)}")
    for name, subject in SUBJECTS.items():
        _sign(folder, name, subject, "extendedKeyUsage=clientAuth")
        _write_kubeconfig(folder, name, f"https://{addresses.node}:6443")
    _openssl(folder, "genrsa", "-out", "accounts.key", "2048")
    _openssl(folder, "rsa", "-in", "accounts.key", "-pubout", "-out", "accounts.pub")


def _sign(folder: Path, name: str, subject: str, extension: str) -> None:
    (folder / f"{name}.ext").write_text(extension)
    _openssl(folder, "req", *_NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
    signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", f"{name}.ext")
    _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *signing)


def _write_kubeconfig(folder: Path, name: str, server: str) -> None:
    def data(file: str) -> str:
        return base64.b64encode((folder / file).read_bytes()).decode()

    user = {"client-certificate-data": data(f"{name}.crt"), "client-key-data": data(f"{name}.key")}
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": {"server": server, "certificate-authority-data": data("ca.crt")}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": name}}],
        "current-context": CONTEXT,
    }
    path = folder / f"{name}.kubeconfig"  # JSON is YAML
    path.touch(mode=0o600)
    path.write_text(json.dumps(kubeconfig, indent=2))


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"openssl {' '.join(arguments)}: {done.stderr}"
