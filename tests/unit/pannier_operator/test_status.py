"""The output of `kubectl get` and `kubectl describe` for a Component, in every state that it can have."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from unit.tables import each_row

from pannier_operator.delivery.app_secret import TooLarge
from pannier_operator.objects.kinds import ComponentStatus
from pannier_operator.objects.namespace_components import NamespaceComponents
from pannier_operator.status.conditions import status_of
from pannier_operator.status.findings import Event, differs, events_between, is_current, is_ready
from pannier_operator.status.readiness import App, Report, StoreReport
from pannier_operator.status.reasons import CONDITIONS, FALSE_BECAUSE, RESILIENCY_FALSE_BECAUSE

NOW = datetime(2026, 11, 23, 12, 30, 15, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
ROOT = Path(__file__).parents[3]
CRD = ROOT / "crds" / "component.yaml"
ACTORS = {"name": "actorStateStore", "value": "true"}
PASSWORD = {"name": "redisPassword", "secretKeyRef": {"name": "redis", "key": "password"}}


def component(
    name: str = "orders", *items: dict[str, object], age: int = 0, generation: int = 2, **top: Any
) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": "shop",
        "generation": generation,
        "creationTimestamp": f"2026-01-01T00:00:{age:02}Z",
    }
    spec = {"type": "state.redis", "metadata": [{"name": "redisHost", "value": "redis:6379"}, *items]}
    return {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": metadata, "spec": spec, **top}


def has(*names: str, generation: int = 2) -> App:
    return App(dict.fromkeys(names or ("orders",), generation))


def says(pod: str = "cart-1", state: str = "ready", why: str = "", name: str = "orders") -> Report:
    return Report(pod, {name: StoreReport(state, why)})


def status(
    judged: dict[str, Any],
    *neighbours: dict[str, Any],
    secrets: Any = None,
    apps: dict[str, App] | None = None,
    reports: dict[str, list[Report]] | None = None,
    now: datetime = NOW,
) -> ComponentStatus:
    found = status_of(judged, neighbours, secrets or {}, apps or {}, reports or {}, now)
    for each in found["conditions"]:
        assert each["status"] != "False" or each["reason"] in FALSE_BECAUSE[each["type"]]
    return found


def condition(found: ComponentStatus, type: str) -> tuple[str, str, str]:
    conditions: Any = found["conditions"]
    (each,) = [each for each in conditions if each["type"] == type]
    return each["status"], each["reason"], each["message"]


def status_schema() -> Any:
    (version,) = yaml.safe_load(CRD.read_text())["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]


def counts(found: ComponentStatus) -> tuple[object, object, object]:
    return found["apps"], found["appsReady"], found["appsSummary"]


class TestAComponent:
    def test_a_component_that_every_app_can_use_is_ready(self) -> None:
        found = status(
            component("orders", ACTORS),
            apps={"cart": has(), "pay": has()},
            reports={
                "cart": [says("cart-1"), says("cart-2")],
                "pay": [says("pay-1")],
            },
        )
        assert (found["observedGeneration"], found["actor"]) == (2, True)
        assert counts(found) == (2, 2, "2/2")
        assert condition(found, "Accepted") == ("True", "Accepted", "nothing is wrong with it")
        assert condition(found, "SecretsResolved") == ("True", "NotNeeded", "it refers to no Kubernetes Secret")
        assert condition(found, "Delivered") == ("True", "Delivered", "in the Secret of apps 'cart' and 'pay'")
        assert condition(found, "Ready") == ("True", "Ready", "apps 'cart' and 'pay' have it ready")

    def test_a_component_that_no_app_sees_is_ready_and_unused(self) -> None:
        found = status(component(scopes=["pay"]), apps={"cart": has()}, reports={"cart": [says()]})
        assert counts(found) == (0, 0, "0/0")
        assert condition(found, "Ready") == ("True", "NotUsed", "no running app sees it")
        assert condition(found, "Delivered") == ("True", "NotUsed", "no running app sees it")

    def test_a_component_that_is_admitted_with_a_warning_says_so(self) -> None:
        found = status(component("orders", {"name": "redisPasword", "value": "x"}))
        assert condition(found, "Accepted") == (
            "True",
            "Accepted",
            "accepted, but spec.metadata[redisPasword]: state.redis has no field 'redisPasword'; write 'redisPassword'",
        )

    def test_a_wrong_component_has_every_problem_in_its_status(self) -> None:
        wrong = component("orders", {"name": "redisDB", "value": "x"}, scopes=["a,b"])
        found = status(wrong, apps={"cart": has()}, reports={"cart": [says()]})
        reason = (
            "spec.metadata[redisDB].value: 'x' is not a whole number; write a whole number, 0 or more; "
            "scopes[0]: 'a,b' is more than one app id; write one list entry for each app"
        )
        assert condition(found, "Accepted") == ("False", "Invalid", reason)
        assert condition(found, "Delivered")[:2] == ("False", "Invalid")
        assert condition(found, "Ready") == ("False", "Invalid", reason)
        assert counts(found) == (0, 0, "0/0")

    def test_a_component_that_cannot_be_read_has_a_status_too(self) -> None:
        broken = component()
        broken["spec"] = {"type": "state.redis", "metadata": [{"value": "1"}]}
        found = status(broken)
        assert condition(found, "Ready") == (
            "False",
            "Invalid",
            "spec.metadata[0].name: is missing; write 'name: redisHost'",
        )
        assert condition(found, "SecretsResolved")[:2] == ("Unknown", "NotJudged")

    def test_a_component_that_pannier_does_not_serve_is_skipped(self) -> None:
        events = component()
        events["spec"]["type"] = "pubsub.redis"
        found = status(events)
        assert condition(found, "Ready") == (
            "False",
            "NotServed",
            "spec.type: 'pubsub.redis' is not served by Pannier and is skipped",
        )

    def test_a_component_in_an_already_judged_namespace_has_the_same_status(self) -> None:
        old, new = component("old", ACTORS), component("new", ACTORS, age=1)
        assert status_of(new, NamespaceComponents([new, old]), {}, {}, {}, NOW) == status(new, old)
        assert status_of(new, [new, old], {}, {}, {}, NOW) == status(new, old)


class TestTwoThatConflict:
    OLD, NEW = component("old", ACTORS, age=1), component("new", ACTORS, age=2, scopes=["cart"])

    def test_the_younger_is_not_accepted_and_says_why(self) -> None:
        found = status(self.NEW, self.OLD, apps={"cart": has("old")})
        reason = (
            "spec.metadata[actorStateStore].value: 'old' already is the actor state store of app 'cart'; "
            "remove actorStateStore from one of the two, or add scopes to 'old' that leave out 'cart'"
        )
        assert condition(found, "Accepted") == ("False", "ActorStateStoreConflict", reason)
        assert condition(found, "Ready") == ("False", "ActorStateStoreConflict", reason)
        assert (found["actor"], counts(found)) == (False, (0, 0, "0/0"))

    def test_the_older_stays(self) -> None:
        found = status(self.OLD, self.NEW)
        assert (found["actor"], condition(found, "Accepted")[0]) == (True, "True")

    def test_the_loser_is_accepted_when_the_winner_has_gone(self) -> None:
        assert condition(status(self.NEW), "Accepted")[0] == "True"

    def test_ten_racing_components_leave_one(self) -> None:
        ten = [component(f"racer-{number}", ACTORS) for number in range(10)]
        accepted = [each["metadata"]["name"] for each in ten if condition(status(each, *ten), "Accepted")[0] == "True"]
        assert accepted == ["racer-0"]

    def test_a_second_default_store_says_so(self) -> None:
        default = {"name": "defaultStateStore", "value": "true"}
        found = status(component("new", default, age=2), component("old", default, age=1))
        assert condition(found, "Accepted")[:2] == ("False", "DefaultStateStoreConflict")


class TestSecrets:
    def test_secrets_that_exist_are_counted(self) -> None:
        user = {"name": "redisUsername", "secretKeyRef": {"name": "redis", "key": "password"}}
        there = {"redis": {"password": b"x"}}
        assert condition(status(component("orders", PASSWORD), secrets=there), "SecretsResolved") == (
            "True",
            "Resolved",
            "1 secret found",
        )
        assert condition(status(component("orders", PASSWORD, user), secrets=there), "SecretsResolved")[2] == (
            "2 secrets found"
        )

    @pytest.mark.parametrize(
        ("secrets", "expected"),
        [
            (
                {},
                "spec.metadata[redisPassword].secretKeyRef.name: there is no Secret 'redis' with key 'password' yet; "
                "create it before an app needs this component",
            ),
            (
                {"redis": {"pasword": b"x"}},
                "spec.metadata[redisPassword].secretKeyRef.key: the Secret 'redis' has no key 'password' yet; "
                "add it before an app needs this component, or write 'pasword'",
            ),
            (
                {"redis": {"password": b"\xff"}},
                "spec.metadata[redisPassword].secretKeyRef.key: key 'password' of the Secret 'redis' is not UTF-8 "
                "text; store it as text",
            ),
        ],
    )
    def test_missing_secrets_keep_a_component_from_being_ready(self, secrets: Any, expected: str) -> None:
        found = status(
            component("orders", PASSWORD),
            secrets=secrets,
            apps={"cart": has()},
            reports={"cart": [says(why="its latest version is refused: ...")]},
        )
        assert condition(found, "SecretsResolved") == ("False", "SecretMissing", expected)
        assert condition(found, "Ready") == ("False", "SecretMissing", expected)
        assert condition(found, "Delivered")[0] == "True"
        assert counts(found) == (1, 0, "0/1")

    def test_secrets_of_a_missing_secret_store_are_missing(self) -> None:
        found = status(component("orders", PASSWORD, auth={"secretStore": "vault"}))
        assert condition(found, "SecretsResolved")[:2] == ("False", "SecretStoreMissing")
        store = component("vault")
        store["spec"] = {"type": "secretstores.local.env"}
        found = status(component("orders", PASSWORD, auth={"secretStore": "vault"}), store)
        assert condition(found, "SecretsResolved")[0] == "True"


class TestDelivery:
    def test_a_delivery_that_has_not_happened_names_the_apps(self) -> None:
        apps = {"cart": has(generation=1), "pay": App(), "web": has()}
        found = status(component(), apps=apps, reports={app: [says()] for app in apps})
        assert condition(found, "Delivered") == (
            "False",
            "Delivering",
            "not yet in the Secret of apps 'cart' and 'pay'",
        )
        assert condition(found, "Ready")[:2] == ("False", "Delivering")
        assert counts(found) == (3, 1, "1/3")

    def test_a_refused_delivery_has_its_reason_and_advice_in_the_status(self) -> None:
        refusal = "the quota 'few' allows no more, so the Secret cannot be made; raise it, or make room"
        apps = {"cart": App(refusal=refusal), "pay": has()}
        found = status(component(), apps=apps, reports={"pay": [says()]})
        assert condition(found, "Delivered") == ("False", "SecretRefused", f"not given to app 'cart': {refusal}")
        assert condition(found, "Ready")[:2] == ("False", "SecretRefused")
        assert counts(found) == (2, 1, "1/2")
        assert events_between(None, found) == [Event("Warning", "SecretRefused", f"not given to app 'cart': {refusal}")]

    def test_after_a_refusal_the_old_delivery_counts_unless_its_secrets_may_have_changed(self) -> None:
        apps = {"cart": App({"orders": 2}, refusal="immutable")}
        secrets = {"redis": {"password": b"a"}}
        plain = status(component(), apps=apps, reports={"cart": [says()]})
        secret = status(component("orders", PASSWORD), apps=apps, secrets=secrets, reports={"cart": [says()]})
        assert condition(plain, "Delivered")[0] == "True"
        assert condition(secret, "Delivered")[1] == "SecretRefused"

    def test_undelivered_apps_are_counted_if_there_are_many(self) -> None:
        found = status(component(), apps={f"app-{number}": App() for number in range(40)})
        assert condition(found, "Delivered")[2] == "not yet in the Secret of 40 apps"

    def test_a_component_that_is_too_large_is_reported_with_its_size(self) -> None:
        apps = {"cart": App(too_large=[TooLarge("orders", 900 * 1024, 1200 * 1024)]), "pay": has()}
        found = status(component(), apps=apps, reports={"pay": [says()]})
        assert condition(found, "Delivered") == (
            "False",
            "TooLarge",
            "it has 900 KiB, and all components of app 'cart' together have 1200 KiB where a Secret holds 1024 KiB; "
            "make it smaller, or remove the app from the scopes of components that it does not need",
        )
        assert condition(found, "Ready")[1] == "TooLarge"
        assert counts(found) == (2, 1, "1/2")


class TestSidecars:
    @each_row(
        ("reports", "reason", "message"),
        [
            ([], "NoRunningPod", "none of its pods runs yet"),
            ([Report("cart-1", None, "timed out")], "SidecarSilent", "pod 'cart-1': timed out"),
            ([Report("cart-1")], "SidecarSilent", "pod 'cart-1': its sidecar does not answer"),
            ([Report("cart-1", {})], "NotLoadedYet", "pod 'cart-1': its sidecar has not read it yet"),
            ([says(state="hidden")], "NotLoadedYet", "pod 'cart-1': its sidecar has not read it yet"),
            (
                [says(), says("cart-2", "waiting", "redis:6379: connection refused")],
                "StoreUnavailable",
                "pod 'cart-2': redis:6379: connection refused",
            ),
            ([says(state="refused", why="no\nway")], "RefusedBySidecar", "pod 'cart-1': no way"),
            (
                [says("cart-2", "waiting"), says(why="its latest version is refused: x")],
                "ServesEarlierVersion",
                "pod 'cart-1': its latest version is refused: x",
            ),
        ],
    )
    def test_sidecars_that_cannot_use_a_component_have_their_reason_in_the_status(
        self, reports: list[Report], reason: str, message: str
    ) -> None:
        found = status(
            component(), apps={"cart": has(), "pay": has()}, reports={"cart": reports, "pay": [says("pay-1")]}
        )
        assert condition(found, "Ready") == ("False", reason, f"not ready in 1 of 2 apps: 'cart': {message}")
        assert counts(found) == (2, 1, "1/2")

    def test_only_a_few_of_many_apps_are_named(self) -> None:
        apps = {f"app-{number}": has() for number in range(9)}
        found = status(component(), apps=apps, reports={app: [says(app, "waiting", "w" * 5000)] for app in apps})
        _, _, message = condition(found, "Ready")
        assert message.startswith("not ready in 9 of 9 apps: 'app-0': pod 'app-0': www")
        assert message.endswith("...; and 6 more")
        assert len(message) < 2000

    def test_need_not_report_a_secret_store(self) -> None:
        store = component("env")
        store["spec"] = {"type": "secretstores.local.env"}
        found = status(store, apps={"cart": has("env")}, reports={"cart": [Report("cart-1", {})]})
        assert condition(found, "Ready")[0] == "True"
        assert counts(found) == (1, 1, "1/1")

    def test_answer_as_their_health_page_does(self) -> None:
        answer = {"ready": True, "stores": {"orders": {"type": "state.redis", "state": "waiting", "why": "down"}}}
        assert Report.read("p", answer) == Report("p", {"orders": StoreReport("waiting", "down")})

    def test_report_the_version_they_have_read_or_may_have_read_any(self) -> None:
        report = Report.read("p", {"stores": {}, "componentsVersion": "7f3a"})
        assert report.has_read("7f3a")
        assert not report.has_read("8b20")
        assert Report.read("p", {"stores": {}}).has_read("7f3a")

    def test_sidecars_of_an_earlier_version_report_a_version_and_the_key_after_it(self) -> None:
        report = Report.read("p", {"stores": {}, "componentsVersion": "7f3a\n5ec4e7"})
        assert report == Report("p", {}, version="7f3a")
        assert report.has_read("7f3a")

    @pytest.mark.parametrize("answer", [None, [], "x", {}, {"stores": []}, {"stores": None}])
    def test_sidecars_that_answer_something_else_are_silent(self, answer: object) -> None:
        report = Report.read("p", answer)
        assert (report.stores, report.trouble) == (None, "its health answer names no stores")

    def test_incomplete_reports_are_read_as_far_as_they_go(self) -> None:
        assert Report.read("p", {"stores": {"a": 1, "b": {}}}) == Report("p", {"b": StoreReport("")})


class TestWriting:
    def test_keeps_the_time_of_what_has_not_changed(self) -> None:
        judged = component()
        judged["status"] = status(judged)
        later = status(judged, now=LATER)
        assert not differs(later, judged)

    def test_gives_what_changed_the_new_time(self) -> None:
        judged = component()
        judged["status"] = status(judged)
        later: Any = status(judged, apps={"cart": App()}, now=LATER)
        assert differs(later, judged)
        times = {each["type"]: each["lastTransitionTime"] for each in later["conditions"]}
        assert times == {
            "Accepted": "2026-11-23T12:30:15Z",
            "SecretsResolved": "2026-11-23T12:30:15Z",
            "Delivered": "2026-11-23T12:35:15Z",
            "Ready": "2026-11-23T12:35:15Z",
        }

    def test_is_current_while_the_component_stays(self) -> None:
        judged = component(generation=2)
        assert not is_current(judged)
        judged["status"] = status(judged)
        assert is_current(judged)
        judged["metadata"]["generation"] = 3
        assert not is_current(judged)

    def test_a_new_generation_changes_no_time(self) -> None:
        judged = component()
        judged["status"] = status(judged)
        judged["metadata"]["generation"] = 3
        later: Any = status(judged, now=LATER)
        assert differs(later, judged)
        assert {each["observedGeneration"] for each in later["conditions"]} == {3}
        assert {each["lastTransitionTime"] for each in later["conditions"]} == {"2026-11-23T12:30:15Z"}

    @pytest.mark.parametrize("earlier", [None, "x", {}, {"conditions": "x"}, {"conditions": [1, {"type": "Ready"}]}])
    def test_starts_over_from_unreadable_content(self, earlier: object) -> None:
        judged = component(status=earlier)
        assert status(judged) == status(component())
        assert differs(status(judged), judged)

    def test_keeps_within_the_schema(self) -> None:
        schema = status_schema()
        found: Any = status(component("orders", PASSWORD), apps={"cart": has()})
        assert set(found) == set(schema)
        types = {"integer": int, "boolean": bool, "string": str, "array": list}
        assert all(isinstance(value, types[schema[name]["type"]]) for name, value in found.items())
        properties = schema["conditions"]["items"]["properties"]
        assert [each["type"] for each in found["conditions"]] == list(CONDITIONS)
        assert all(set(each) == set(properties) for each in found["conditions"])


class TestDescriptions:
    """Texts about conditions that users read: those of `kubectl explain` and of the documentation."""

    def test_descriptions_in_the_schema_name_every_condition(self) -> None:
        described = status_schema()["conditions"]
        assert re.findall(r"(\w+): ", described["description"]) == list(CONDITIONS)
        one_of_them = described["items"]["properties"]["type"]["description"]
        assert re.findall(r"[A-Z]\w+", one_of_them) == list(CONDITIONS)

    @each_row(["number", "false_because"], enumerate((FALSE_BECAUSE, RESILIENCY_FALSE_BECAUSE), start=1))
    def test_descriptions_in_the_documentation_name_every_condition_with_its_reasons(
        self, number: int, false_because: Mapping[str, tuple[str, ...]]
    ) -> None:
        table = (ROOT / "docs" / "kubernetes.md").read_text().split("| condition | what it says |")[number]
        lines = table.partition("\n\n")[0].splitlines()[2:]
        documented: dict[str, set[str]] = {}
        for _, name, _, reasons, _ in (line.split("|") for line in lines):
            mentioned = documented.get("Accepted", set()) if "those of Accepted" in reasons else set()
            mentioned = set().union(*documented.values()) if "those above" in reasons else mentioned
            own = re.sub("and those .*", "", reasons)
            documented[name.strip()] = mentioned | set(re.findall(r"\w+", own))
        assert list(documented) == list(false_because)
        assert documented == {name: set(reasons) for name, reasons in false_because.items()}


class TestEvents:
    def test_report_once_what_keeps_it_from_being_ready(self) -> None:
        found = status(component("orders", PASSWORD))
        (event,) = events_between(None, found)
        assert (event.type, event.reason) == ("Warning", "SecretMissing")
        assert "no Secret 'redis' with key 'password'" in event.message

    def test_report_that_it_became_ready(self) -> None:
        judged = component("orders", PASSWORD)
        before = status(judged)
        after = status(judged, secrets={"redis": {"password": b"x"}})
        assert events_between(before, after) == [Event("Normal", "NotUsed", "no running app sees it")]

    def test_do_not_repeat_anything(self) -> None:
        found = status(component("orders", PASSWORD))
        assert events_between(found, found) == []

    def test_leave_out_the_states_that_every_change_passes_through(self) -> None:
        ready = status(component(), apps={"cart": has()}, reports={"cart": [says()]})
        delivering = status(component(generation=3), apps={"cart": has()}, reports={"cart": [says()]})
        unread = status(component(), apps={"cart": has()}, reports={"cart": [Report("cart-1", {})]})
        assert events_between(ready, delivering) == []
        assert events_between(delivering, unread) == []
        assert [event.reason for event in events_between(unread, ready)] == ["Ready"]

    def test_report_a_conflict_and_its_end(self) -> None:
        old, new = component("old", ACTORS), component("new", ACTORS, age=1)
        lost = status(new, old)
        assert [event.reason for event in events_between(status(new), lost)] == ["ActorStateStoreConflict"]
        assert [event.type for event in events_between(lost, status(new))] == ["Normal"]


@pytest.mark.parametrize(
    "written",
    [None, "x", [], {"conditions": "Ready"}, {"conditions": [None, "Ready"]}, {"conditions": [{"type": ["Ready"]}]}],
)
def test_a_status_of_any_shape_can_be_read(written: Any) -> None:
    judged: Any = {**component(), "status": written}

    assert not is_ready(judged)
    assert not is_current(judged)
    found = status(judged)
    assert len(found["conditions"]) == len(CONDITIONS)
    assert [event.type for event in events_between(written, found)] == ["Normal"], "Ready has become true"
