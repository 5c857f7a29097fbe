"""Pannier, installed by its chart for the whole session; and users as fixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cluster import release
from cluster.user import User

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.access import Cluster
    from cluster.release import Release


@pytest.fixture(scope="session")
def installed(cluster: Cluster) -> Iterator[Release]:
    release.load_images(cluster)
    pannier = release.Release(cluster)
    pannier.install()
    yield pannier
    pannier.uninstall()
    cluster.kubectl(
        "delete", "crd", "components.dapr.io", "resiliencies.dapr.io", "configurations.dapr.io", "--wait=false"
    )
    cluster.kubectl("delete", "namespace", release.NAMESPACE, "--wait=false")


@pytest.fixture
def pannier(installed: Release) -> Release:
    """Pannier with its defaults and both replicas up, even if the previous test has failed."""
    if installed.values:
        installed.install()
    if len(installed.operators()) != 2:
        installed.scale(2)
    return installed


@pytest.fixture
def user(pannier: Release, namespace: str) -> User:
    """A user with their own namespace."""
    return User(pannier.cluster, namespace)
