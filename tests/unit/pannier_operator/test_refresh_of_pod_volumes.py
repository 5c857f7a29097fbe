"""A pod is annotated when its app's Secret has changed, and again while its sidecar has not read the new version."""

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
    return with_version({"metadata": {}, "changed": CHANGED, "data": {}}, version, "key")


@pytest.mark.parametrize("annotated", [None, "a", "a.3"])
def test_a_pod_annotated_with_another_version_is_annotated_again(annotated: str | None) -> None:
    assert refresh_mark(pod(annotated), secret(), unread_probes=0) == "b"


@pytest.mark.parametrize("annotated", ["b", "b.2"])
def test_a_pod_annotated_with_this_version_is_left_alone(annotated: str) -> None:
    assert refresh_mark(pod(annotated), secret(), unread_probes=0) is None


def test_an_annotated_pod_whose_sidecar_has_not_read_the_version_is_annotated_again() -> None:
    assert refresh_mark(pod("b"), secret(), unread_probes=1) == "b.1"
    assert refresh_mark(pod("b.1"), secret(), unread_probes=1) is None
    assert refresh_mark(pod("b.1"), secret(), unread_probes=2) == "b.2"
    assert refresh_mark(pod("b.9"), secret(), unread_probes=1) == "b.1", "a new leader counts from the start"


def test_a_pod_that_never_follows_is_not_annotated_for_ever() -> None:
    assert refresh_mark(pod("b.20"), secret(), unread_probes=500) is None


def test_a_pod_created_after_the_change_has_it_from_the_start_unless_its_sidecar_reports_otherwise() -> None:
    newer = pod(created="2026-11-25T10:00:31Z")
    assert refresh_mark(newer, secret(), unread_probes=0) is None
    assert refresh_mark(newer, secret(), unread_probes=1) == "b.1"
    assert refresh_mark(pod(created=CHANGED), secret(), unread_probes=0) == "b", (
        "times have whole seconds: either may have been first"
    )


def test_a_pod_that_ends_is_left_alone() -> None:
    assert refresh_mark(pod(deletionTimestamp=CHANGED), secret(), unread_probes=1) is None
