"""Pannier's version is the same in everything that is released, and a release changes it in all of these files."""

import re
from pathlib import Path

import pytest

from pannier_sidecar import __version__

ROOT = Path(__file__).parents[2]
STATED = {
    "crds/pyproject.toml": (r'^version = "(.+)"$',),
    "sidecar/pyproject.toml": (r'^version = "(.+)"$',),
    "operator/pyproject.toml": (r'^version = "(.+)"$',),
    "charts/pannier/Chart.yaml": (r"^version: (.+)$", r"^appVersion: (.+)$"),
    "Dockerfile.sidecar": (r"^ARG VERSION=(.+)$",),
    "Dockerfile.operator": (r"^ARG VERSION=(.+)$",),
}


@pytest.mark.parametrize("file", STATED)
def test_a_file_states_the_version_of_the_sidecar(file: str) -> None:
    text = (ROOT / file).read_text()
    for pattern in STATED[file]:
        assert re.findall(pattern, text, re.MULTILINE) == [__version__]
