"""An image of this machine's Redis, for a cluster that reaches no registry: the program and the libraries it loads."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from cluster import tools

IMAGE = "localhost/pannier-redis:dev"
_LOADER = Path("/lib64/ld-linux-x86-64.so.2")


def build() -> str:
    """Make the image unless it is there; return its name."""
    program = tools.debian_package("redis-server", "redis-server")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "root")
        for file in (program, _LOADER, *_libraries_of(program)):
            target = root / str(file).lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.resolve(), target)
        (root / "data").mkdir()
        lines = ("FROM scratch", "COPY root /", f"ENV PATH={program.parent}", "USER 65532:65532")
        Path(folder, "Dockerfile").write_text("".join(f"{line}\n" for line in lines))
        bud(folder, IMAGE)
    return IMAGE


def _libraries_of(program: Path) -> list[Path]:
    lines = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout.splitlines()
    return [Path(line.split("=>")[1].split()[0]) for line in lines if "=> /" in line]


def bud(folder: str, image: str) -> None:
    """Build an image from a folder with a Dockerfile that runs no command."""
    has_docker = shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True).returncode == 0
    command = ["docker", "build"] if has_docker else ["buildah", "bud", "--isolation", "chroot"]
    done = subprocess.run([*command, "-t", image, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
