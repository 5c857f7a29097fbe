"""The chart's values show the operator's own defaults: a change of one of them is a change of both."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pannier_operator.settings import OperatorSettings, from_environment

CHART = Path(__file__).parents[3] / "charts/pannier"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
DEPLOYMENT = (CHART / "templates/operator-deployment.yaml").read_text()
PLAIN = re.compile(r"- name: (PANNIER_\w+)\n\s+value: \{\{ (\.Values|\$sidecar)\.([\w.]+)(?: \| quote)? \}\}")
"""A variable that has one of the chart's values unchanged."""


def text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def variables() -> Iterator[tuple[str, str]]:
    """Return the variables that the chart sets from its values, without those that depend on names and namespaces."""
    for variable, root, path in PLAIN.findall(DEPLOYMENT):
        value = VALUES if root == ".Values" else VALUES["sidecar"]
        for name in path.split("."):
            value = value[name]
        yield variable, text(value)
    for bound, resources in VALUES["sidecar"]["resources"].items():
        for resource, value in resources.items():
            yield f"PANNIER_SIDECAR_{resource}_{bound.removesuffix('s')}".upper(), value or "none"
    yield "PANNIER_SIDECAR_RUN_AS_USER", text(VALUES["sidecar"]["runAsUser"])
    yield "PANNIER_SIDECAR_LOG_AS_JSON", text(VALUES["sidecar"]["log"]["format"] == "json")
    yield "PANNIER_OBSERVING_LOG_AS_JSON", text(VALUES["operator"]["log"]["format"] == "json")


def test_the_values_are_the_operators_defaults() -> None:
    environment = dict(variables())
    assert len(environment) > 17
    assert from_environment(environment) == OperatorSettings()


@pytest.mark.parametrize(
    ("name", "port"),
    [
        ("webhooks", OperatorSettings().webhook.listen_port),
        ("health", OperatorSettings().observing.health_port),
        ("metrics", OperatorSettings().observing.metrics_port),
    ],
)
def test_the_ports_are_the_operators_defaults(name: str, port: int) -> None:
    assert re.search(rf"- name: {name}\n\s+containerPort: {port}\n", DEPLOYMENT)
