"""What a sidecar reports on the Resiliency objects that it has read."""

from __future__ import annotations

import pytest
import yaml

from pannier_sidecar.loading.folder import parse
from pannier_sidecar.loading.planning import plan
from pannier_sidecar.loading.plans import Plan
from pannier_sidecar.loading.resiliency_planning import states_of
from pannier_sidecar.loading.resolving import ResolutionContext


def resiliency(name: str, timeout: str = "5s", scopes: list[str] | None = None) -> str:
    manifest = {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Resiliency",
        "metadata": {"name": name},
        "spec": {"policies": {"timeouts": {"t": timeout}}},
        "scopes": scopes or [],
    }
    return "---\n" + yaml.safe_dump(manifest)


@pytest.fixture
def before() -> Plan:
    return plan_of(resiliency("a") + resiliency("b"))


def plan_of(text: str, before: Plan | None = None) -> Plan:
    counting = before.resiliencies if before is not None else ()
    return plan(parse({"p.yaml": text.encode()}), ResolutionContext("shop", "default"), resiliencies=counting)


def states(found: Plan) -> dict[str, tuple[str, str]]:
    return {each.name: (each.state, each.why) for each in states_of(found)}


def test_those_that_count_are_ready_and_those_of_other_apps_are_not_named(before: Plan) -> None:
    assert states(before) == {"a": ("ready", ""), "b": ("ready", "")}
    assert states(plan_of(resiliency("a") + resiliency("b", scopes=["other"]))) == {"a": ("ready", "")}


def test_a_refused_one_says_why_and_whether_its_earlier_version_is_used(before: Plan) -> None:
    text = resiliency("b", "soon") + resiliency("c", "soon")
    why = (
        "spec.policies.timeouts.t: 'soon' is not a duration; write a number with a unit, such as 500ms or 5s; without "
        "a unit, it is in milliseconds"
    )
    assert states(plan_of(text, before)) == {
        "b": ("ready", f"its latest version is refused: {why}"),
        "c": ("refused", why),
    }
