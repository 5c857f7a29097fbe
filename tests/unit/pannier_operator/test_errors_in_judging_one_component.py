"""A bug of ours in judging one Component affects only that Component: its neighbours are judged and delivered."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pannier_operator.delivery.plan import what_app_sees
from pannier_operator.objects import namespace_components
from pannier_operator.objects.namespace_components import NamespaceComponents
from pannier_operator.status.conditions import status_of


def component(name: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "generation": 1}
    return {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": metadata,
        "spec": {"type": "state.in-memory", "version": "v1"},
    }


def test_the_neighbours_are_served_and_its_status_says_that_the_error_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = namespace_components.problems_of

    def fails_at_one(component: Any, **known: Any) -> Any:
        if component.name == "odd":
            raise ZeroDivisionError("password=1234")
        return judged(component, **known)

    monkeypatch.setattr(namespace_components, "problems_of", fails_at_one)
    components = NamespaceComponents([component("odd"), component("sound")])

    assert [each.name for each in what_app_sees("orders", "shop", components)] == ["sound"]
    status: Any = status_of(component("odd"), components, {}, {}, {}, datetime.now(UTC))
    accepted = status["conditions"][0]
    assert (accepted["type"], accepted["status"], accepted["reason"]) == ("Accepted", "False", "Invalid")
    assert "because of a bug in Pannier (ZeroDivisionError)" in accepted["message"]
    assert "1234" not in accepted["message"]
