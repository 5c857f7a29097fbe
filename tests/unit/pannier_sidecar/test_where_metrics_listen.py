"""Metrics are for Prometheus: by default they listen in a pod on every address, elsewhere on loopback."""

import pytest

from pannier_sidecar.settings import EVERYWHERE, LOOPBACK, RUN_DEFAULTS, from_environment

IN_A_POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}


@pytest.mark.parametrize(
    ("environment", "flags", "addresses"),
    [
        ({}, {}, LOOPBACK),
        ({}, {"place.mode": "kubernetes"}, EVERYWHERE),
        (IN_A_POD, {}, EVERYWHERE),
        (IN_A_POD, RUN_DEFAULTS, LOOPBACK),
        ({}, {"listen.metrics_addresses": ("0.0.0.0",)}, ("0.0.0.0",)),
        (IN_A_POD, {"listen.metrics_addresses": ("127.0.0.1",)}, ("127.0.0.1",)),
    ],
)
def test_flags_and_variables_decide_where_metrics_listen(
    environment: dict[str, str], flags: dict[str, object], addresses: tuple[str, ...]
) -> None:
    assert from_environment(environment).changed(flags).metrics_addresses == addresses
