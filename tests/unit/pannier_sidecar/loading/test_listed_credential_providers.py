"""A component can only name a credential provider that the sidecar's owner has listed."""

from __future__ import annotations

import pytest
from unit.tables import each_row

from pannier_sidecar.cli.parsing import UsageError, parse
from pannier_sidecar.loading.folder import FolderWatch
from pannier_sidecar.loading.planning import plan
from pannier_sidecar.loading.plans import Plan
from pannier_sidecar.loading.resolving import ResolutionContext
from pannier_sidecar.settings import Settings, from_environment

NAME = "shop.credentials:Rotating"


def decide(folder, **context: object) -> Plan:
    reading = FolderWatch([folder.path]).read()
    assert reading is not None
    return plan(reading, ResolutionContext("shop", **context))  # type: ignore[arg-type]


def test_a_listed_one_is_used(folder):
    folder.put("orders", "state.redis", redisHost="localhost", credentialProvider=NAME)
    (orders,) = decide(folder, credential_providers=("a:B", NAME)).desired
    assert orders.settings["credentialProvider"] == NAME


@each_row("listed", [(), ("shop.credentials:Other",), ("shop.credentials:rotating",), ("shop.credentials",), ("*",)])
def test_another_one_is_refused_with_the_names_of_the_settings(folder, listed):
    folder.put("orders", "state.redis", redisHost="localhost", credentialProvider=NAME)
    (refused,) = decide(folder, credential_providers=listed).refused
    _, _, why = refused.why.partition("spec.metadata[credentialProvider]: ")
    assert why == (
        "the sidecar's owner has not listed this class, so it is not loaded; name it in --credential-providers or "
        "PANNIER_CREDENTIAL_PROVIDERS, on a pod in the annotation pannier.dev/credential-providers"
    )


def test_a_name_from_a_variable_is_compared_too_and_not_shown(folder):
    reference = "metadata:\n    - {name: redisHost, value: localhost}\n    - {name: credentialProvider, envRef: NAME}"
    folder.write("orders.yaml", folder.component("orders", "state.redis").replace("metadata: []", reference))
    (refused,) = decide(folder, environment={"NAME": "canary:Canary"}, credential_providers=(NAME,)).refused
    assert "has not listed this class" in refused.why and "anary" not in refused.why.replace("redential", "")
    (orders,) = decide(folder, environment={"NAME": NAME}, credential_providers=(NAME,)).desired
    assert "shop" not in str(orders.settings["credentialProvider"])


def test_the_list_comes_from_the_environment_or_the_flag():
    settings = from_environment({"PANNIER_CREDENTIAL_PROVIDERS": " a:B, c.d:E.f ,"})
    assert ResolutionContext.of(settings).credential_providers == ("a:B", "c.d:E.f")
    assert parse(["--credential-providers", "a:B,c.d:E.f"]).changes == {
        "components.credential_providers": ("a:B", "c.d:E.f")
    }
    assert Settings().components.credential_providers == from_environment({}).components.credential_providers == ()


@each_row("text", ["a", "a:", ":b", "a:b,c", "a.b", "*", "a:*", "a b:c", "1a:b"])
def test_a_list_that_names_no_classes_is_refused(text):
    with pytest.raises(UsageError, match="write module:Class, several separated by commas"):
        parse(["--credential-providers", text])
