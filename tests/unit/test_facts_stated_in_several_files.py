"""What several files state because each is read alone: a change of one of them is a change of all."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from pannier_operator.settings import OperatorSettings
from pannier_sidecar import __version__

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = ("crds/pyproject.toml", "sidecar/pyproject.toml", "operator/pyproject.toml")
DOCKERFILES = ("Dockerfile.sidecar", "Dockerfile.operator")

VERSION: Mapping[str, str] = {
    **dict.fromkeys(DISTRIBUTIONS, r'^version = "(.+)"$'),
    **dict.fromkeys(DOCKERFILES, r"^ARG VERSION=(.+)$"),
    "charts/pannier/Chart.yaml": r"^(?:version|appVersion): (.+)$",
    "README.md": r"\| Pannier (\S+) \|",
}
OLDEST_PYTHON: Mapping[str, str] = {
    **dict.fromkeys(DISTRIBUTIONS, r'^requires-python = ">=(.+)"$'),
    "pyproject.toml": r'^python_version = "(.+)"$',
    "scripts/make-venv": r"(?:Python|needs) (\d[.\d]+) or newer",
    "scripts/pin-constraints": r"--python-version (\S+)",
    "README.md": r"Python (\S+) or newer",
    "CONTRIBUTING.md": r"Python (\S+) or newer",
}
BASE_IMAGE: Mapping[str, str] = {
    **dict.fromkeys(DOCKERFILES, r"^ARG PYTHON_IMAGE=(.+)$"),
    "scripts/images": r'^BASE = "(.+)"$',
}
KUBERNETES: Mapping[str, str] = {
    "tests/cluster/tools.py": r'^KUBERNETES = "(\d+\.\d+)',
    "tests/cluster/node/go.mod": r"k8s\.io/kubernetes v(\d+\.\d+)",
    "tests/bench_operator/processes.py": r'--kube-version", "(\d+\.\d+)',
    "docs/testing-on-a-cluster.md": r"^Kubernetes (\d+\.\d+):",
    "Makefile": r"^KUBERNETES := (\d+\.\d+)",
}
USER_OF_IMAGES: Mapping[str, str] = {
    **dict.fromkeys(DOCKERFILES, r"^USER (\d+):\d+$"),
    "scripts/image-root": r"^USER_ID = (\d+)$",
    "charts/pannier/values.yaml": r"^  runAsUser: (\d+)$",
    "charts/pannier/templates/_names.tpl": r"^  runAsUser: (\d+)$",
    "docs/testing-on-a-cluster.md": r"run as user (\d+)",
}


def stated(files: Mapping[str, str]) -> dict[str, set[str]]:
    """Return what each file states."""
    return {name: set(re.findall(form, (ROOT / name).read_text(), re.MULTILINE)) for name, form in files.items()}


@pytest.mark.parametrize(
    ("files", "fact"),
    [
        pytest.param(VERSION, __version__, id="Pannier's version"),
        pytest.param(OLDEST_PYTHON, "3.11", id="the oldest Python"),
        pytest.param(BASE_IMAGE, "docker.io/library/python:3.11-slim", id="the base of the images"),
        pytest.param(KUBERNETES, "1.35", id="the Kubernetes of tests"),
        pytest.param(USER_OF_IMAGES, str(OperatorSettings().sidecar.run_as_user), id="the user of the images"),
    ],
)
def test_every_file_states_the_same(files: Mapping[str, str], fact: str) -> None:
    assert stated(files) == dict.fromkeys(files, {fact})
