"""An image of examples/pluggable: the sidecar's image, which has a Python, with the example and what it imports."""

from __future__ import annotations

import shutil
import sysconfig
import tempfile
from pathlib import Path

from cluster import tools
from cluster.redis_image import bud
from cluster.release import SIDECAR_IMAGE

IMAGE = "localhost/pannier-ledger:dev"
_PACKAGES = ("google", "grpc", "grpc_reflection", "grpc_status", "grpc_tools", "typing_extensions.py")
"""What grpcio, grpcio-reflection, grpcio-status and grpcio-tools install here, at the versions of constraints.txt."""


def build() -> str:
    """Make the image; return its name. The sidecar's image must have been built."""
    installed = Path(sysconfig.get_paths()["platlib"])
    with tempfile.TemporaryDirectory() as folder:
        packages = Path(folder, "packages")
        packages.mkdir()
        for name in _PACKAGES:
            copy = shutil.copytree if (installed / name).is_dir() else shutil.copy
            copy(installed / name, packages / name)
        shutil.copytree(tools.ROOT / "examples" / "pluggable", Path(folder, "ledger"))
        lines = (
            f"FROM {SIDECAR_IMAGE}",
            "COPY packages /packages",
            "COPY ledger /ledger",
            "ENV PYTHONPATH=/packages",
            'ENTRYPOINT ["python", "-u", "/ledger/ledger.py"]',
        )
        Path(folder, "Dockerfile").write_text("".join(f"{line}\n" for line in lines))
        bud(folder, IMAGE)
    return IMAGE
