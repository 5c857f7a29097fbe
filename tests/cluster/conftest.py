"""The cluster of these tests, and the images in it, for the whole session; a namespace for each test that requests
one.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cluster import choice, tools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.access import Cluster

HERE = Path(__file__).parent
TEST_LIMIT_S = 300
SIDECAR_IMAGE = "localhost/pannier-sidecar:dev"
OPERATOR_IMAGE = "localhost/pannier-operator:dev"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests on a cluster more time than others, because they start pods."""
    for item in items:
        if _is_here(item) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_LIMIT_S))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is missing before the first test and its clock start: on a new machine it takes minutes."""
    if session.config.option.collectonly or not any(map(_is_here, session.items)):
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        choice.prepare()
        build_images()


def build_images() -> None:
    subprocess.run([tools.ROOT / "scripts/images", "build"], check=True)


def _is_here(item: pytest.Item) -> bool:
    return item.path.is_relative_to(HERE)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with choice.any_cluster() as found:
        yield found


@pytest.fixture(scope="session")
def sidecar_image(cluster: Cluster) -> str:
    """The sidecar's image, as it is built from this tree; pods use it with `imagePullPolicy: Never`."""
    cluster.load_image(SIDECAR_IMAGE)
    return SIDECAR_IMAGE


@pytest.fixture(scope="session")
def operator_image(cluster: Cluster) -> str:
    """The operator's image, as it is built from this tree."""
    cluster.load_image(OPERATOR_IMAGE)
    return OPERATOR_IMAGE


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace for one test, in which pods must meet the `restricted` Pod Security Standard."""
    name = f"pannier-test-{os.urandom(4).hex()}"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    try:
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
