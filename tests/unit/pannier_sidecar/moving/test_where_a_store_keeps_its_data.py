"""Whether two components mean the same place, even if a secret defines it."""

from __future__ import annotations

import pytest

from pannier_crds.manifests import write_document
from pannier_sidecar.loading.folder import parse
from pannier_sidecar.loading.planning import plan
from pannier_sidecar.loading.plans import DesiredStore
from pannier_sidecar.loading.resolving import ResolutionContext
from pannier_sidecar.moving.locating import place_of

VAULT = {
    "apiVersion": "dapr.io/v1alpha1",
    "kind": "Component",
    "metadata": {"name": "vault"},
    "spec": {"type": "secretstores.local.env", "version": "v1"},
}


def desired(source: dict[str, object], environment: dict[str, str]) -> DesiredStore:
    component = {
        **VAULT,
        "metadata": {"name": "orders"},
        "spec": {
            "type": "state.postgresql",
            "version": "v1",
            "metadata": [{"name": "connectionString", **source}],
        },
    }
    contents = {"vault.yaml": write_document(VAULT).encode(), "orders.yaml": write_document(component).encode()}
    (only,) = plan(parse(contents), ResolutionContext("shop", environment=environment)).desired
    return only


@pytest.mark.parametrize("source", [{"secretKeyRef": {"name": "URL", "key": "URL"}}, {"envRef": "URL"}])
def test_different_addresses_from_secrets_are_different_places(source: dict[str, object]) -> None:
    here = desired(source, {"URL": "host=a user=u"})
    there = desired(source, {"URL": "host=b user=u"})
    assert place_of(here) != place_of(there)
    assert place_of(here) == place_of(desired(source, {"URL": "host=a user=u"}))
    assert here.identity != there.identity


def test_a_secret_and_the_same_value_are_one_place() -> None:
    by_value = desired({"value": "host=a user=u"}, {})
    assert place_of(by_value) == place_of(desired({"envRef": "URL"}, {"URL": "host=a user=u"}))
