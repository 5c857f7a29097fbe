"""A sidecar over a folder of components into which others write."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from scenarios.http_client import HttpClient, path
from servers.pannier_process import Pannier, serving


@pytest.fixture
def pannier(folder: Path) -> Iterator[Pannier]:
    """A sidecar over the test's own `folder`, whose store `orders` has one key, `k`."""
    with serving(folder) as pannier:
        with closing(HttpClient(pannier.port())) as http:
            pannier.until(lambda: http.call("GET", path("orders", "k")).status == 204, "orders open")
            assert http.call("POST", path("orders"), '[{"key": "k", "value": 1}]').status == 201
        yield pannier
