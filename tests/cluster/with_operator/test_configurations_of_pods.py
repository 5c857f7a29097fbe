"""Configurations from `kubectl apply` to the sidecars of the pods that name them, and to their deletion."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cluster.manifests import component, configuration, deployment
from cluster.release import get_one
from cluster.user import CONFIGURATIONS

if TYPE_CHECKING:
    from cluster.release import Release
    from cluster.user import User

WEBHOOK = (
    'Error from server: error when creating "STDIN": admission webhook "configurations.pannier.dev" denied the '
    "request: "
)
STATE = {"name": "state", "version": "v1", "protocol": "http"}
STRICT = configuration("shop", api={"denied": [STATE]})
OPEN = configuration("shop", components={"deny": ["state.redis"]})
NAMED = {"dapr.io/config": "shop"}


def answer(user: User, app: str = "orders") -> int:
    return user.call(app, "statestore/k")[0]


def reported(user: User, app: str = "orders") -> Any:
    """What the app's sidecar says of its Configuration."""
    return user.report(app)["configurations"]["shop"]


def restarts(user: User, app: str = "orders") -> list[tuple[str, int]]:
    """The app's pod, and how often its containers were started again."""
    pod = user.pod(app)
    status = (*pod["status"]["initContainerStatuses"], *pod["status"]["containerStatuses"])
    return [(pod["metadata"]["uid"], each["restartCount"]) for each in status]


def test_rules_reach_running_pods_and_stay_when_their_configuration_is_deleted(user: User) -> None:
    user.apply(component(), STRICT, deployment("orders", annotations=NAMED), deployment("others"))
    user.deployed("orders", "others")
    user.is_ready("shop", CONFIGURATIONS)
    assert (answer(user), answer(user, "others")) == (403, 204)
    before = restarts(user)

    user.apply(OPEN)
    user.until(lambda: answer(user) == 204, "a rule that is gone no longer denies")
    user.until(lambda: reported(user)["generation"] == "2", "the sidecar says which generation it has")
    user.apply(STRICT)
    user.until(lambda: answer(user) == 403, "it denies again")
    assert restarts(user) == before
    user.is_ready("shop", CONFIGURATIONS)

    head, line = user.kubectl("get", "configuration", "-o", "wide").splitlines()
    assert head.split() == ["NAME", "READY", "APPS", "AGE", "REASON"]
    assert [line.split()[each] for each in (0, 1, 2, 4)] == ["shop", "True", "1/1", "Ready"]

    user.kubectl("delete", CONFIGURATIONS, "shop")
    (event,) = user.until(lambda: user.events("ConfigurationMissing"), "its pods say so")
    assert "there is no Configuration 'shop'" in event["message"] and "keeps the last version" in event["message"]
    user.kubectl("scale", "deployment/orders", "--replicas=2")
    user.deployed("orders")
    assert answer(user) == 403, "a later pod has it too"
    user.apply(OPEN)
    user.until(lambda: answer(user) == 204, "a new one takes its place")


def test_a_pod_waits_for_its_configuration_while_those_before_it_serve(user: User) -> None:
    user.apply(component(), OPEN, deployment("orders", annotations=NAMED))
    user.deployed("orders")
    user.saves_and_reads("orders", 1)
    old = user.pod("orders")["metadata"]["name"]

    applied = user.tries("apply", "-f", "-", input=deployment("orders", annotations={"dapr.io/config": "shpo"}))
    assert applied.returncode == 0
    assert applied.stderr.strip() == (
        "Warning: annotation dapr.io/config: there is no Configuration 'shpo' in the namespace; write 'shop'; until "
        "then pods do not start"
    )
    (event,) = user.until(lambda: user.events("ConfigurationMissing"), "the new pod says what it waits for")
    assert "write 'shop'. The pod waits for it" in event["message"]
    new = user.pod("orders")
    assert new["metadata"]["name"] == event["involvedObject"]["name"] != old
    assert new["status"]["phase"] == "Pending"
    assert user.kubectl("get", "pod", old, "-o", "jsonpath={.status.phase}") == "Running"

    user.apply(configuration("shpo", api={"denied": [STATE]}))
    user.deployed("orders")
    user.until(lambda: answer(user) == 403, "with its rules from the beginning")


def test_mistakes_are_refused_in_one_line_that_says_what_to_write(user: User) -> None:
    wrong = configuration("shop", api={"denied": [{**STATE, "name": "sate"}]})
    assert user.is_refused(wrong) == f"{WEBHOOK}spec.api.denied[0].name: 'sate' is no API; write 'state'"
    assert "spec.tracing.samplingRate: " in user.is_refused(configuration("shop", tracing={"samplingRate": "2"}))
    header = {"name": "key", "secretKeyRef": {"name": "collector", "key": "token"}}
    otel = {"endpointAddress": "collector:4318", "protocol": "http", "headers": [header]}
    applied = user.tries(
        "apply",
        "-f",
        "-",
        input=configuration("shop", accessControl={}, mtls={"enabled": True}, tracing={"otel": otel}),
    )
    assert applied.returncode == 0
    assert sorted(applied.stderr.strip().splitlines()) == [
        "Warning: spec.mtls: has no effect here",
        "Warning: spec.tracing.otel.headers[0].secretKeyRef.name: there is no Secret 'collector' with key 'token' yet; "
        "create it so that the header is sent",
    ]
    resolved = user.until(lambda: user.condition("shop", "SecretsResolved", CONFIGURATIONS), "its status says so too")
    assert (resolved["status"], resolved["reason"]) == ("False", "SecretMissing")
    user.kubectl("create", "secret", "generic", "collector", "--from-literal=token=s3cret")
    user.is_ready("shop", CONFIGURATIONS)

    impossible = json.loads(deployment("orders", annotations={"dapr.io/config": "a,b"}))
    said = user.tries("apply", "-f", "-", input=json.dumps(impossible)).stderr
    assert "annotation dapr.io/config: 'a,b' is no name of an object" in said


def test_while_no_operator_runs_sidecars_keep_what_they_have_and_the_api_server_judges(
    pannier: Release, user: User
) -> None:
    user.apply(component(), STRICT, deployment("orders", annotations=NAMED))
    user.deployed("orders")
    user.is_ready("shop", CONFIGURATIONS)
    pannier.scale(0)
    try:
        wrong = configuration("other", api={"allowed": [{**STATE, "protocol": "htp"}]})
        assert "is 'htp'; write http or grpc" in user.is_refused(wrong)
        user.kubectl("delete", CONFIGURATIONS, "shop")
        assert answer(user) == 403
    finally:
        pannier.scale(2)
    user.until(lambda: user.events("ConfigurationMissing"), "an operator that comes back says so")
    assert answer(user) == 403, "and takes nothing away"
    user.apply(OPEN)
    user.until(lambda: answer(user) == 204, "until there is another one")
    assert get_one(user.cluster, CONFIGURATIONS, user.namespace, "shop")["metadata"].get("finalizers") is None
