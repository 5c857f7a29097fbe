"""The programs of the node, their command lines and configuration files. Everything they write is in one folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster import tools
from cluster.one_node.certificates import NODE

if TYPE_CHECKING:
    from pathlib import Path

    from cluster.one_node.addresses import Addresses

PAUSE_IMAGE = "localhost/pause:1"
CNI_PLUGINS = "/usr/lib/cni"
DOMAIN = "cluster.local"
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata"}],
}


@dataclass(frozen=True)
class Layout:
    """Where each program keeps its files, in the folder of one cluster."""

    folder: Path

    @property
    def certificates(self) -> Path:
        return self.folder / "certificates"

    @property
    def settings(self) -> Path:
        return self.folder / "settings"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def audit_log(self) -> Path:
        return self.folder / "audit.log"

    @property
    def containerd_socket(self) -> Path:
        return self.folder / "containerd.sock"

    @property
    def kubeconfig(self) -> Path:
        return self.certificates / "admin.kubeconfig"

    @property
    def cgroup(self) -> str:
        return self.folder.name


def write_settings(layout: Layout, addresses: Addresses) -> None:
    """Write the configuration files of programs that take no flags."""
    layout.settings.mkdir()
    (layout.settings / "containerd.toml").write_text(_containerd(layout))
    (layout.settings / "kubelet.json").write_text(json.dumps(_kubelet(layout, addresses), indent=2))
    (layout.settings / "resolv.conf").write_text("")
    (layout.settings / "Corefile").write_text(_corefile(layout, addresses))
    (layout.settings / "audit.json").write_text(json.dumps(_AUDIT_POLICY))
    (layout.settings / "cni").mkdir()
    (layout.settings / "cni" / "10-bridge.conflist").write_text(json.dumps(_network(addresses), indent=2))


def commands(layout: Layout, addresses: Addresses) -> dict[str, list[str]]:
    """Return what to run, by name, in the order of starting; each program waits for the others that it needs."""
    return {
        "etcd": _etcd(layout),
        "containerd": ["containerd", "--config", str(layout.settings / "containerd.toml")],
        "kube-apiserver": _apiserver(layout, addresses),
        "kube-controller-manager": _controllers(layout),
        **_node(layout, addresses),
    }


def commands_without_node(layout: Layout, addresses: Addresses) -> dict[str, list[str]]:
    """Return what to run if no pod ever runs; the API server then logs every call."""
    audit = (f"--audit-policy-file={layout.settings / 'audit.json'}", f"--audit-log-path={layout.audit_log}")
    return {
        "etcd": _etcd(layout),
        "kube-apiserver": [*_apiserver(layout, addresses), *audit],
        "kube-controller-manager": _controllers(layout),
    }


def _node(layout: Layout, addresses: Addresses) -> dict[str, list[str]]:
    return {
        "kube-scheduler": _component(layout, "kube-scheduler", "scheduler", "--leader-elect=false"),
        "kube-proxy": _component(
            layout,
            "kube-proxy",
            "proxy",
            "--proxy-mode=iptables",
            f"--hostname-override={NODE}",
            f"--cluster-cidr={addresses.pods}",
            # A network namespace may not set the machine's connection tracking.
            "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0s",
            "--conntrack-tcp-timeout-close-wait=0s",
        ),
        "kubelet": _component(
            layout,
            "kubelet",
            "kubelet",
            f"--config={layout.settings / 'kubelet.json'}",
            f"--root-dir={layout.folder / 'kubelet'}",
            f"--cert-dir={layout.folder / 'kubelet-certificates'}",
            f"--hostname-override={NODE}",
            f"--node-ip={addresses.node}",
        ),
        "coredns": [str(tools.coredns()), "-conf", str(layout.settings / "Corefile")],
    }


def _component(layout: Layout, program: str, user: str, *flags: str) -> list[str]:
    return [str(tools.kubernetes(program)), f"--kubeconfig={layout.certificates / user}.kubeconfig", *flags]


def _etcd(layout: Layout) -> list[str]:
    return [
        str(tools.etcd()),
        f"--data-dir={layout.folder / 'etcd'}",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--unsafe-no-fsync",  # nothing here needs to outlive a power cut
        "--log-level=warn",
        "--logger=zap",
    ]


def _apiserver(layout: Layout, addresses: Addresses) -> list[str]:
    certificates = layout.certificates
    return [
        str(tools.kubernetes("kube-apiserver")),
        "--etcd-servers=http://127.0.0.1:2379",
        f"--advertise-address={addresses.node}",
        "--secure-port=6443",
        f"--cert-dir={layout.folder / 'apiserver'}",
        f"--tls-cert-file={certificates / 'apiserver.crt'}",
        f"--tls-private-key-file={certificates / 'apiserver.key'}",
        f"--client-ca-file={certificates / 'ca.crt'}",
        f"--kubelet-client-certificate={certificates / 'kubelet-client.crt'}",
        f"--kubelet-client-key={certificates / 'kubelet-client.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}",
        f"--service-account-key-file={certificates / 'accounts.pub'}",
        f"--service-account-signing-key-file={certificates / 'accounts.key'}",
        f"--service-cluster-ip-range={addresses.services}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",  # in addition to those that are on by default
        "--allow-privileged=true",
        # Webhooks are called at the endpoints of their Service: the API server has no Service addresses of its own.
        "--enable-aggregator-routing=true",
    ]


def _controllers(layout: Layout) -> list[str]:
    return _component(
        layout,
        "kube-controller-manager",
        "controllers",
        f"--root-ca-file={layout.certificates / 'ca.crt'}",
        f"--service-account-private-key-file={layout.certificates / 'accounts.key'}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        f"--cert-dir={layout.folder / 'controllers'}",
    )


def _containerd(layout: Layout) -> str:
    return f"""\
version = 2
root = "{layout.folder}/containerd"
state = "/run/containerd"
[grpc]
  address = "{layout.containerd_socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{layout.folder}/containerd-opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Lowering the score takes CAP_SYS_RESOURCE, which root in a container or a small VM often lacks.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{layout.settings}/cni"
"""


def _kubelet(layout: Layout, addresses: Addresses) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.certificates / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.cgroup}",
        "clusterDNS": [addresses.node],
        "clusterDomain": DOMAIN,
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "maxPods": 200,
        "podLogsDir": str(layout.folder / "pod-logs"),
        "resolvConf": str(layout.settings / "resolv.conf"),
        "volumePluginDir": str(layout.folder / "volume-plugins"),
    }


def _corefile(layout: Layout, addresses: Addresses) -> str:
    """Only names of the cluster are known, because pods cannot reach anything outside this machine."""
    return f"""\
.:53 {{
    bind {addresses.node}
    errors
    kubernetes {DOMAIN} in-addr.arpa {{
        kubeconfig {layout.certificates}/dns.kubeconfig
        ttl 2
    }}
}}
"""


def _network(addresses: Addresses) -> dict[str, object]:
    bridge = {
        "type": "bridge",
        "bridge": "pods0",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "subnet": addresses.pods, "routes": [{"dst": "0.0.0.0/0"}]},
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, portmap]}
