"""What the API server does with Components by itself: it accepts Dapr's, and refuses mistakes that one object shows.

The CustomResourceDefinition has another group here, so that neither an installed one nor a webhook interferes.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.access import Cluster
from cluster.release import until

from pannier_crds.catalogue import known_names
from pannier_crds.checks import problems_of
from pannier_crds.component import Component
from pannier_crds.problems import InvalidManifestError, listed
from pannier_operator.status.conditions import status_of

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "components").glob("*/*.yaml"))
GROUP = "crd-test.pannier.dev"
RESOURCE = f"components.{GROUP}"
LATER = "crd-later.pannier.dev"
LENIENT = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
HOST = {"name": "redisHost", "value": "redis:6379"}
PASSWORD = {"name": "redisPassword", "value": "x"}
SECRET = {"secretKeyRef": {"name": "redis", "key": "password"}}

Try = Callable[[dict[str, Any]], str]


@pytest.fixture(scope="module")
def definition(cluster: Cluster) -> Iterator[str]:
    manifest = yaml.safe_load((ROOT / "crds" / "component.yaml").read_text())
    manifest["metadata"]["name"] = RESOURCE
    manifest["spec"]["group"] = GROUP
    cluster.kubectl("apply", "-f", "-", input=json.dumps(manifest))
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{RESOURCE}", "--timeout=60s")
    yield RESOURCE
    cluster.kubectl("delete", "crd", RESOURCE)


@pytest.fixture
def said(cluster: Cluster, definition: str) -> Try:
    """Return the output of `kubectl create` for a Component, without creating it."""

    def attempt(manifest: dict[str, Any]) -> str:
        text = json.dumps({**manifest, "apiVersion": f"{GROUP}/v1alpha1"})
        done = cluster.try_kubectl("create", "--dry-run=server", "-n", "default", "-f", "-", input=text)
        assert bool(done.returncode) == ("created" not in done.stdout)
        return done.stderr + done.stdout

    return attempt


def component(spec: dict[str, Any], **top: Any) -> dict[str, Any]:
    return {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": {"name": "orders"}, "spec": spec, **top}


def redis(*items: dict[str, Any], **top: Any) -> dict[str, Any]:
    return component({"type": "state.redis", "metadata": [HOST, *items]}, **top)


def verdict_of_the_checks(manifest: dict[str, Any]) -> list[str]:
    try:
        problems = problems_of(Component.from_manifest(manifest))
    except InvalidManifestError as invalid:
        problems = list(invalid.problems)
    return [problem.text for problem in problems if problem.is_error]


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(manifest, id=f"{path.parent.name}-{manifest['metadata']['name']}")
        for path in sorted((ROOT / "examples" / "components").glob("*/*.yaml"))
        for manifest in yaml.safe_load_all(path.read_text())
        if manifest["metadata"]["name"].islower()  # a file may use a name that Kubernetes refuses: myStateStore
    ],
)
def test_every_example_applies(said: Try, manifest: dict[str, Any]) -> None:
    name = manifest["metadata"]["name"]
    assert said(manifest) == f"component.{GROUP}/{name} created (server dry run)\n"


@pytest.mark.parametrize(
    "manifest",
    [
        component({"type": "state.in-memory"}),
        component({"type": "state.in-memory", "version": None, "metadata": None}, scopes=None, auth=None),
        component({"type": "State.In-Memory", "version": "V1", "metadata": []}, scopes=[]),
        component({"type": "pubsub.kafka", "version": "v9", "metadata": [{"name": "any thing", "value": "x"}]}),
        redis({"name": "a", "value": True}, {"name": "b", "value": 6379}, {"name": "c", "value": 0.5}),
        redis({"name": "a", "value": ""}, {"name": "b", "value": None, **SECRET}, {"name": "c", "envRef": "HOST"}),
        redis(auth={"secretStore": "kubernetes"}, scopes=["cart", "pay"]),
        component({"type": "state.in-memory", "ignoreErrors": True, "initTimeout": "1m30.5s"}),
        component(
            {"type": "state.in-memory", "metadata": [{"name": f"n{number}", "value": "x"} for number in range(128)]},
            scopes=[f"app-{number}" for number in range(1024)],
        ),
    ],
)
def test_components_that_dapr_accepts_apply(said: Try, manifest: dict[str, Any]) -> None:
    assert "created" in said(manifest)


@pytest.mark.parametrize(
    "manifest",
    [
        component({"type": "pubsub"}),
        component({"type": "state.redis", "version": "v7", "metadata": [HOST]}),
        component({"type": "state.redis"}),
        redis({**PASSWORD, **SECRET}),
        redis({"name": "redisPassword", "value": False, "envRef": "PASSWORD"}),
        redis({"name": "redisPassword", "envRef": "PASSWORD", **SECRET}),
        redis({"name": "redisPassword", "envRef": "dapr_api_token"}),
        redis({"name": "redisPassword", "envRef": "A B"}),
        component({"type": "state.in-memory", "initTimeout": "soon"}),
        redis(scopes=["", "*", "a,b", "a b", "a||b", "a/b", "right"]),
        redis({**PASSWORD, **SECRET}, {"name": "redisUsername", "envRef": "A B"}, scopes=["a,b"]),
    ],
)
def test_wrong_components_are_refused_with_the_messages_of_the_checks(said: Try, manifest: dict[str, Any]) -> None:
    refusal = said(manifest)
    problems = verdict_of_the_checks(manifest)
    assert problems
    for text in problems:
        assert text in refusal


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (
            component({"type": "state.rediss"}),
            "spec.type: Forbidden: there is no component type 'state.rediss'; "
            f"write {listed(known_names('state.'), 'or')}",
        ),
        (
            redis({"name": "REDISHOST", "value": "other"}),
            "spec.metadata: Forbidden: a name is given twice (upper and lower case are the same); "
            "keep one of the two entries",
        ),
        (redis(HOST), 'spec.metadata[1]: Duplicate value: {"name":"redisHost"}'),
        (component({"metadata": []}), "spec.type: Required value"),
        (component({"type": "state.in-memory", "scopes": ["cart"]}), 'unknown field "spec.scopes"'),
    ],
)
def test_components_with_other_mistakes_are_refused_too(said: Try, manifest: dict[str, Any], words: str) -> None:
    assert words in said(manifest)
    assert verdict_of_the_checks(manifest)


@pytest.mark.parametrize(
    ("name", "is_accepted"),
    [("ledger", True), ("my-store", True), ("rediss", False), ("aerospike", False), ("postgre", False), ("", False)],
)
def test_types_of_pluggable_components_are_accepted_unless_they_look_misspelt(
    said: Try, name: str, is_accepted: bool
) -> None:
    refusal = said(component({"type": f"state.{name}"}))
    assert ("created" in refusal) is is_accepted, refusal


def test_kubectl_shows_and_waits_for_the_status(cluster: Cluster, definition: str, namespace: str) -> None:
    manifest = redis({"name": "actorStateStore", "value": "true"})
    text = json.dumps({**manifest, "apiVersion": f"{GROUP}/v1alpha1"})
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=text)
    stored = json.loads(cluster.kubectl("get", definition, "orders", "-n", namespace, "-o", "json"))
    assert stored["metadata"]["generation"] == 1
    judged = {**stored, "apiVersion": "dapr.io/v1alpha1"}
    status = status_of(judged, [judged], {}, {}, {}, datetime.now(UTC))
    patch = json.dumps({"status": status})
    cluster.kubectl("patch", definition, "orders", "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
    cluster.kubectl("wait", "--for=condition=Ready", f"{definition}/orders", "-n", namespace, "--timeout=10s")
    table = cluster.kubectl("get", definition, "-n", namespace).splitlines()
    assert table[0].split() == ["NAME", "TYPE", "ACTOR", "READY", "APPS", "AGE"]
    assert table[1].split()[:5] == ["orders", "state.redis", "true", "True", "0/0"]
    wide = cluster.kubectl("get", definition, "-n", namespace, "-o", "wide").splitlines()
    assert wide[0].split()[-2:] == ["REASON", "REVISION"]
    assert wide[1].split()[-2] == "NotUsed"
    kept = json.loads(cluster.kubectl("get", definition, "orders", "-n", namespace, "-o", "json"))
    assert kept["status"] == status, "nothing is pruned, so nothing is written twice"
    assert kept["metadata"]["generation"] == 1


def test_settings_of_two_owners_merge_by_name(cluster: Cluster, definition: str, namespace: str) -> None:
    for owner, spec in (
        ("one", {"type": "state.redis", "metadata": [HOST]}),
        ("two", {"metadata": [{"name": "redisDB", "value": 2}]}),
    ):
        text = json.dumps(component(spec) | {"apiVersion": f"{GROUP}/v1alpha1"})
        server_side = ("--server-side", f"--field-manager={owner}", "--validate=false")
        cluster.kubectl("apply", *server_side, "-n", namespace, "-f", "-", input=text)
    stored = json.loads(cluster.kubectl("get", definition, "orders", "-n", namespace, "-o", "json"))
    assert [item["name"] for item in stored["spec"]["metadata"]] == ["redisHost", "redisDB"]


@pytest.mark.parametrize(
    "manifest",
    [
        component({"type": "state.rediss", "metadata": []}),
        component({"type": "state.redis", "metadata": []}),
        redis(HOST),
        redis({"name": "REDISHOST", "value": "other"}),
        redis({**PASSWORD, **SECRET}),
        redis(scopes=["a,b", "*"]),
        component({"type": "state.in-memory", "initTimeout": "soon", "more": 1}),
    ],
)
def test_what_an_earlier_definition_took_can_still_be_labelled_and_has_a_status(
    cluster: Cluster, namespace: str, lenient: Callable[[], None], strict: Callable[[], None], manifest: dict[str, Any]
) -> None:
    lenient()
    text = json.dumps({**manifest, "apiVersion": f"{LATER}/v1alpha1"})
    cluster.kubectl("create", "-n", namespace, "-f", "-", input=text)
    strict()

    changed = json.dumps({**manifest, "apiVersion": f"{LATER}/v1alpha1", "metadata": {"name": "another"}})
    assert cluster.try_kubectl("create", "-n", namespace, "-f", "-", input=changed).returncode == 1
    cluster.kubectl("label", f"components.{LATER}", "orders", "-n", namespace, "team=a")
    status = '{"status": {"apps": 1}}'
    patch = ("patch", f"components.{LATER}", "orders", "--type=merge", "--subresource=status", "-p", status)
    cluster.kubectl(*patch, "-n", namespace)


@pytest.fixture(scope="module")
def definitions(cluster: Cluster) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Puts one schema or another in force."""
    manifest = yaml.safe_load((ROOT / "crds" / "component.yaml").read_text())
    manifest["metadata"]["name"], manifest["spec"]["group"] = f"components.{LATER}", LATER
    (version,) = manifest["spec"]["versions"]

    def install(schema: dict[str, Any]) -> None:
        version["schema"]["openAPIV3Schema"] = schema
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=json.dumps(manifest))
        probe = component({"type": 5}, metadata={"name": "probe"}, apiVersion=f"{LATER}/v1alpha1")
        create = ("create", "--dry-run=server", "-n", "default", "-f", "-")
        wanted = 0 if schema is LENIENT else 1
        until(
            lambda: cluster.try_kubectl(*create, input=json.dumps(probe)).returncode == wanted, "the schema is in force"
        )

    yield install
    cluster.kubectl("delete", "crd", f"components.{LATER}")


@pytest.fixture
def lenient(definitions: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
    return lambda: definitions(LENIENT)


@pytest.fixture
def strict(definitions: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
    crd = yaml.safe_load((ROOT / "crds" / "component.yaml").read_text())
    return lambda: definitions(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
