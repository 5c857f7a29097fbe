"""Checks, admission, status, Events and the sidecar's verdicts on components with a password in any field."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from hostile.conftest import Promise
from hostile.effort import Effort
from hostile.secrets.canaries import CANARY, WAYS, leaks, manifest, mutated, reference

from pannier_crds.catalogue import known_types
from pannier_crds.component import Component, InvalidManifestError
from pannier_crds.manifests import read_documents, write_document
from pannier_operator.admission.components import judge
from pannier_operator.status.conditions import status_of
from pannier_operator.status.findings import events_between
from pannier_sidecar.loading.folder import parse
from pannier_sidecar.loading.planning import plan
from pannier_sidecar.loading.plans import Plan
from pannier_sidecar.loading.resolving import ResolutionContext

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SECRETS = """apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: kubernetes}
spec: {type: secretstores.local.env, version: v1}
"""


def said_by_checks_and_operator(made: Any) -> Iterator[str]:
    try:
        component = Component.from_manifest(made)
        yield repr(component)
    except InvalidManifestError as invalid:
        yield str(invalid)
    yield str(judge("CREATE", made, None, ()))
    yield str(judge("UPDATE", made, cast("Any", manifest_like(made)), ()))
    status = status_of(made, (), {}, {}, {}, NOW)
    yield str(status)
    yield str(events_between({}, status))
    for document in read_documents(write_document(made), "c.yaml"):
        yield str(document.why_skipped)


def manifest_like(made: dict[str, Any]) -> dict[str, Any]:
    return {**made, "spec": {**made["spec"], "metadata": []}}


def said_by_plan(made: dict[str, Any], environment: dict[str, str]) -> Iterator[str]:
    decided = decide(made, environment)
    yield from decided.warnings
    for refused in decided.refused:
        yield refused.why
        yield from refused.lines()
    yield repr(decided.desired)


def decide(made: dict[str, Any], environment: dict[str, str]) -> Plan:
    made["metadata"].pop("namespace", None)
    contents = {"secrets.yaml": SECRETS.encode(), "c.yaml": write_document(made).encode()}
    return plan(parse(contents), ResolutionContext("shop", environment=environment, data_folder=Path("/data")))


TYPES = known_types()


def some_ways(number: int, effort: Effort) -> list[str]:
    """All ways to write a password wrong; in CI only a few, which differ from field to field."""
    ways = list(WAYS)
    count = effort.times(6, len(ways))
    return [mutated(ways[(number * count + each) % len(ways)]) for each in range(count)]


def test_a_password_as_a_value(effort: Effort, promise: Promise, subtests: pytest.Subtests) -> None:
    for kind in TYPES:
        with subtests.test(kind.title):
            tried = 0
            for number, field in enumerate(kind.fields):
                # The bare password only in fields that cannot mean anything else by it.
                for text in [*some_ways(number, effort), *([CANARY] if field.sensitive else [])]:
                    made = manifest(kind, "orders", {field.name: text})
                    for said in (*said_by_checks_and_operator(made), *said_by_plan(made, {})):
                        assert not leaks(said), said
                    tried += 1
            promise(
                "A password in the wrong place is not shown by check, admission, status, Events or the sidecar",
                on=f"{kind.title}, every field, as a value",
                fault="a password in a form that the field does not accept, or that another program accepts",
                times=tried,
                counted=f"{len(kind.fields)} fields; 0 fragments of it found",
            )


def test_a_password_in_a_secret(effort: Effort, promise: Promise, subtests: pytest.Subtests) -> None:
    for kind in TYPES:
        with subtests.test(kind.title):
            tried = 0
            for number, field in enumerate(kind.fields):
                for text in [CANARY, *some_ways(number, effort)]:
                    made = manifest(kind, "orders", {field.name: reference("PASSWORD")})
                    for said in (*said_by_checks_and_operator(made), *said_by_plan(made, {"PASSWORD": text})):
                        assert not leaks(said), said
                    tried += 1
            promise(
                "The content of a secret is not shown by check, admission, status, Events or the sidecar",
                on=f"{kind.title}, every field, from secretKeyRef",
                fault="a password alone, in a form that the field does not accept, or that another program accepts",
                times=tried,
                counted=f"{len(kind.fields)} fields; 0 fragments of it found",
            )
