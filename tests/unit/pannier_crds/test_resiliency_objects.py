"""A Resiliency is read with Dapr's defaults, and each mistake has one line that names the field."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from unit.tables import each_row

from pannier_crds.manifests import read_documents
from pannier_crds.problems import InvalidManifestError
from pannier_crds.resiliency import Outbound, Resiliency, RetryPolicy
from pannier_crds.resiliency_policies import Policies, remarks_among, remarks_on_built_in

PUBLISHED = """
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata:
  name: myresiliency
scopes:
  - app1
spec:
  policies:
    timeouts:
      general: 5s
      important: 60s
      largeResponse: 10000
    retries:
      pubsubRetry: {policy: constant, duration: 5s, maxRetries: 10}
      retryForever: {policy: exponential, maxInterval: 15s, maxRetries: -1}
      bare: {}
    circuitBreakers:
      simpleCB: {maxRequests: 1, timeout: 30s, trip: consecutiveFailures >= 5}
      bare: {}
  targets:
    components:
      statestore1:
        outbound: {timeout: general, retry: retryForever, circuitBreaker: simpleCB}
      pubsub1:
        inbound: {retry: pubsubRetry}
"""


def made(policies: object = None, components: object = None, name: str = "r") -> dict[str, Any]:
    spec = {"policies": policies or {}, "targets": {"components": components or {}}}
    return {"apiVersion": "dapr.io/v1alpha1", "kind": "Resiliency", "metadata": {"name": name}, "spec": spec}


def read(policies: object = None, components: object = None, name: str = "r") -> Resiliency:
    return Resiliency.from_manifest(made(policies, components, name))


def retries(**fields: object) -> object:
    return {"retries": {"r": fields}}


def breakers(**fields: object) -> object:
    return {"circuitBreakers": {"c": fields}}


def test_a_published_file_is_read_as_it_is() -> None:
    (document,) = read_documents(PUBLISHED)
    assert document.is_resiliency and document.why_skipped is None
    found = document.read_resiliency()
    assert found.timeouts == {"general": 5.0, "important": 60.0, "largeResponse": 10.0}
    assert found.retries["pubsubRetry"] == RetryPolicy(duration=5.0, max_retries=10)
    assert found.retries["retryForever"] == RetryPolicy(is_exponential=True, max_interval=15.0)
    assert found.retries["bare"] == RetryPolicy(False, 5.0, 60.0, None)
    breaker = found.circuit_breakers["simpleCB"]
    assert (breaker.max_requests, breaker.interval, breaker.timeout) == (1, 0.0, 30.0)
    default = found.circuit_breakers["bare"]
    assert (default.max_requests, default.timeout, default.trip) == (1, 60.0, "consecutiveFailures > 5")
    assert found.components["statestore1"] == Outbound("general", "retryForever", "simpleCB")
    assert found.components["pubsub1"] == Outbound()
    assert [found.is_visible_to(app) for app in ("app1", "app2")] == [True, False]
    assert not found.remarks


def test_the_example_of_the_page_is_valid() -> None:
    page = (Path(__file__).parents[3] / "docs" / "resiliency.md").read_text()
    (document,) = read_documents(page.split("```yaml\n")[1].split("```")[0])
    found = document.read_resiliency()
    assert not found.remarks and not list(Policies([found]).unknown_names(found))
    assert Policies([found]).of_store("statestore") is not None


@each_row(
    ("policies", "said"),
    [
        ({"timeouts": {"t": "5 s"}}, "spec.policies.timeouts.t: '5 s' is not a duration; write a number with a unit"),
        ({"timeouts": {"t": "-1s"}}, "spec.policies.timeouts.t: '-1s' is less than nothing"),
        ({"timeouts": {"t": True}}, "spec.policies.timeouts.t: is a boolean but should be a duration"),
        ({"timeouts": "5s"}, "spec.policies.timeouts: is text but should be a mapping"),
        (retries(policy="linear"), "spec.policies.retries.r.policy: is 'linear'; write 'constant' or 'exponential'"),
        (retries(maxRetries="3"), "spec.policies.retries.r.maxRetries: is text but should be a whole number"),
        (retries(maxRetry=3), "spec.policies.retries.r.maxRetry: is not a known field; write 'maxRetries'"),
        (
            retries(matching={"httpStatusCodes": "500-50"}),
            "spec.policies.retries.r.matching.httpStatusCodes: '500-50' is neither a code nor a range",
        ),
        (breakers(trip="failures > 3"), "spec.policies.circuitBreakers.c.trip: character 1: there is no 'failures'"),
        (breakers(maxRequests=-1), "spec.policies.circuitBreakers.c.maxRequests: is -1; write a number from 0"),
        ({"timeout": {}}, "spec.policies.timeout: is not a known field; write 'timeouts'"),
    ],
)
def test_each_mistake_is_named(policies: object, said: str) -> None:
    with pytest.raises(InvalidManifestError) as refused:
        read(policies)
    (problem,) = refused.value.problems
    assert str(problem).startswith(said)


def test_misplaced_fields_are_refused() -> None:
    wrong = made(None, {"store": {"timeout": "general"}})
    wrong["spec"]["scopes"] = ["app1"]
    with pytest.raises(InvalidManifestError) as refused:
        Resiliency.from_manifest(wrong)
    assert [problem.field for problem in refused.value.problems] == [
        "spec.scopes",
        "spec.targets.components.store.timeout",
    ]


def test_fields_without_effect_on_state_are_remarked_on() -> None:
    manifest = made({"retries": {"r": {"matching": {"httpStatusCodes": "429,500-599", "gRPCStatusCodes": "1-4"}}}})
    manifest["spec"]["targets"] |= {"apps": {"a": {"retry": "r"}}, "actors": {"t": {"retry": "r"}}}
    assert [problem.field for problem in Resiliency.from_manifest(manifest).remarks] == [
        "spec.policies.retries.r.matching",
        "spec.targets.apps",
        "spec.targets.actors",
    ]


def test_a_component_that_no_target_names_has_the_first_default_of_each_sort() -> None:
    timeouts = {"DefaultTimeoutPolicy": "1s", "DefaultComponentOutboundTimeoutPolicy": "2s"}
    retries = {"DefaultRetryPolicy": {"maxRetries": 1}, "DefaultStatestoreComponentOutboundRetryPolicy": {}}
    policies = Policies([read({"timeouts": timeouts, "retries": retries}, {"listed": {"inbound": {}}})])
    found = policies.of_store("orders")
    assert found is not None and found.timeout == 2.0 and found.circuit_breaker is None
    assert found.retry == RetryPolicy()
    assert policies.of_store("listed") is None


def test_of_two_definitions_the_later_one_counts_and_names_are_shared() -> None:
    first = read({"timeouts": {"t": "1s"}}, {"orders": {"outbound": {"timeout": "t"}}})
    second = read({"timeouts": {"t": "2s"}}, name="second")
    policies = Policies([first, second])
    found = policies.of_store("orders")
    assert found is not None and (found.timeout, found.origin) == (2.0, ("second", ""))
    assert not list(policies.unknown_names(first))


def test_an_unknown_name_is_an_error_with_the_closest_one() -> None:
    outbound = {"timeout": "generl", "retry": "DaprBuiltInServiceRetries", "circuitBreaker": "cb"}
    found = read({"timeouts": {"general": "1s"}}, {"orders": {"outbound": outbound}})
    assert [str(problem) for problem in Policies([found]).unknown_names(found)] == [
        "spec.targets.components.orders.outbound.timeout: there is no policy 'generl'; write 'general'",
        "spec.targets.components.orders.outbound.circuitBreaker: there is no policy 'cb'; "
        "define it under spec.policies.circuitBreakers",
    ]


def test_a_target_that_nearly_is_a_store_is_remarked_on() -> None:
    found = read(None, {"order": {}, "pubsub": {}, "ordersbus": {}})
    (problem,) = remarks_among(found, ["orders"], ["orders", "ordersbus"])
    assert str(problem) == (
        "spec.targets.components.order: there is no component 'order', so the target has no effect; write 'orders'"
    )


def test_policies_of_dapr_can_be_changed_in_part_only() -> None:
    names = ("DaprBuiltInActorNotFoundRetries", "DaprBuiltInServiceRetries")
    found = read(
        {"retries": {name: {"duration": "9s", "maxRetries": 1} for name in names}},
        {name: {"outbound": {"retry": name}} for name in names},
    )
    policies = [Policies([found]).of_store(name) for name in names]
    assert [each and each.retry for each in policies] == [
        RetryPolicy(duration=1.0, max_retries=5),
        RetryPolicy(duration=9.0, max_retries=3),
    ]
    assert len(list(remarks_on_built_in(found))) == 2


def test_a_misspelt_kind_is_refused_and_not_skipped() -> None:
    (document,) = read_documents(yaml.safe_dump({**made(), "kind": "Resilency"}))
    assert document.is_resiliency and document.why_skipped is None
    with pytest.raises(InvalidManifestError, match="kind: is 'Resilency'; write 'kind: Resiliency'"):
        document.read_resiliency()


def test_many_unknown_fields_are_not_all_compared_with_the_known_ones() -> None:
    retries = {f"p{i}": {f"maxretrie{j}": 1 for j in range(90)} for i in range(100)}
    with pytest.raises(InvalidManifestError) as refused:
        Resiliency.from_manifest(made({"retries": retries}))
    assert len(refused.value.problems) == 500


def test_a_scope_that_no_app_can_have_is_refused() -> None:
    with pytest.raises(InvalidManifestError, match=r"scopes\[0\]: '\*' is no app id; write an app id, or take all"):
        Resiliency.from_manifest({**made(), "scopes": ["*"]})
    twice = Resiliency.from_manifest({**made(), "scopes": ["a", "a"]})
    assert [str(each) for each in twice.remarks] == ["scopes[1]: 'a' is written twice; keep one of the two"]
