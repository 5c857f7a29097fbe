"""A pod is touched when its app's Secret has changed, and again when its sidecar has not followed."""

from __future__ import annotations

from typing import Any

import pytest

from pannier_operator.delivery.app_secret import with_version
from pannier_operator.delivery.refresh import COMPONENTS_ANNOTATION, refresh_mark

CHANGED = "2026-11-25T10:00:30Z"


def pod(mark: str | None = None, *, created: str = "2026-11-25T10:00:00Z", **metadata: Any) -> dict[str, Any]:
    annotations = {} if mark is None else {COMPONENTS_ANNOTATION: mark}
    return {"metadata": {"creationTimestamp": created, "annotations": annotations, **metadata}}


def secret(version: str = "b") -> dict[str, Any]:
    return with_version({"metadata": {"changed": CHANGED}, "data": {}}, version, "key")


@pytest.mark.parametrize("told", [None, "a", "a.3"])
def test_a_pod_that_was_told_of_another_version_is_touched(told: str | None) -> None:
    assert refresh_mark(pod(told), secret(), missed=0) == "b"


@pytest.mark.parametrize("told", ["b", "b.2"])
def test_a_pod_that_was_told_of_this_version_is_left_alone(told: str) -> None:
    assert refresh_mark(pod(told), secret(), missed=0) is None


def test_a_pod_that_was_told_and_did_not_follow_is_touched_again() -> None:
    assert refresh_mark(pod("b"), secret(), missed=1) == "b.1"
    assert refresh_mark(pod("b.1"), secret(), missed=1) is None
    assert refresh_mark(pod("b.1"), secret(), missed=2) == "b.2"
    assert refresh_mark(pod("b.9"), secret(), missed=1) == "b.1", "another replica asks now, and counts anew"


def test_a_pod_that_never_follows_is_not_touched_for_ever() -> None:
    assert refresh_mark(pod("b.20"), secret(), missed=500) is None


def test_a_pod_made_after_the_change_has_it_from_the_start_unless_its_sidecar_says_otherwise() -> None:
    newer = pod(created="2026-11-25T10:00:31Z")
    assert refresh_mark(newer, secret(), missed=0) is None
    assert refresh_mark(newer, secret(), missed=1) == "b.1"
    assert refresh_mark(pod(created=CHANGED), secret(), missed=0) == "b", (
        "within one second nobody knows which was first"
    )


def test_a_pod_that_ends_is_left_alone() -> None:
    assert refresh_mark(pod(deletionTimestamp=CHANGED), secret(), missed=1) is None
