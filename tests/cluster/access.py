"""A cluster as tests see it: a kubeconfig, kubectl and helm bound to it, and a way to bring images in."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster import tools

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMMAND_LIMIT_S = 300.0


class CommandFailed(AssertionError):
    """kubectl or helm ended with an error; the message holds what it wrote to standard error."""

    def __init__(self, done: subprocess.CompletedProcess[str]):
        super().__init__(f"{' '.join(map(str, done.args))}\n{done.stderr}{done.stdout}")
        self.stderr = done.stderr


@dataclass(frozen=True)
class Cluster:
    """A cluster that tests may use: they own the namespaces that they create, and what they install."""

    kubeconfig: Path
    kubectl_path: Path
    load_image: Callable[[str], None]
    """Load an image of this machine's docker or buildah into every node, under the same name."""

    def kubectl(self, *arguments: str, input: str | None = None) -> str:
        """Return what kubectl writes to standard output; raise `CommandFailed` if it fails."""
        return _checked(self.try_kubectl(*arguments, input=input)).stdout

    def try_kubectl(self, *arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        """Return kubectl's exit code and output: refusals and warnings are on standard error."""
        return self._run(self.kubectl_path, arguments, input)

    def helm(self, *arguments: str, input: str | None = None) -> str:
        """Return what helm writes to standard output; raise `CommandFailed` if it fails."""
        return _checked(self.try_helm(*arguments, input=input)).stdout

    def try_helm(self, *arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        return self._run(tools.helm(), arguments, input)

    @property
    def environment(self) -> dict[str, str]:
        """What programs need in their environment to find this cluster."""
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}

    def _run(self, program: Path, arguments: tuple[str, ...], input: str | None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(program), *arguments],
            env=self.environment,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT_S,
        )


def _checked(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    if done.returncode:
        raise CommandFailed(done)
    return done
