"""The answers to `kubectl apply` and `kubectl delete` of a Component, word for word, because users read them."""

from collections.abc import Mapping
from typing import Any

import pytest

from pannier_operator.admission.components import (
    ALLOW_ACTOR_STORE_CHANGE,
    PROTECT_ACTOR_STORE,
    Operation,
    concerns_neighbours,
    judge,
)
from pannier_operator.admission.verdict import Verdict

ACTORS = {"actorStateStore": "true"}
ALLOWED = {ALLOW_ACTOR_STORE_CHANGE: "true"}
UNTOUCHED = Verdict()


def component(
    name: str = "orders",
    *,
    type: str = "state.redis",
    scopes: list[str] | None = None,
    settings: Mapping[str, object] | None = None,
    namespace: str = "shop",
    created: str | None = "2026-01-01T00:00:00Z",
    annotations: Mapping[str, str] | None = None,
    **top: Any,
) -> dict[str, Any]:
    given = {"redisHost": "redis:6379", **(settings or {})} if type == "state.redis" else settings or {}
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "annotations": dict(annotations or {})}
    if created:
        metadata["creationTimestamp"] = created
    spec = {"type": type, "metadata": [{"name": key, "value": value} for key, value in given.items()]}
    manifest = {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": metadata, "spec": spec, **top}
    if scopes:
        manifest["scopes"] = scopes
    return manifest


def create(new: dict[str, Any], *neighbours: dict[str, Any], **known: Any) -> Verdict:
    del new["metadata"]["creationTimestamp"]
    return verdict("CREATE", new, None, neighbours, **known)


def update(
    old: dict[str, Any], new: dict[str, Any], *neighbours: dict[str, Any], running: tuple[str, ...] = ()
) -> Verdict:
    return verdict("UPDATE", new, old, [old, *neighbours], running)


def delete(old: dict[str, Any], *neighbours: dict[str, Any], running: tuple[str, ...] = (), by: str = "") -> Verdict:
    return verdict("DELETE", None, old, [old, *neighbours], running, requester=by)


def verdict(operation: Operation, new: Any, old: Any, neighbours: Any, *apps: Any, **known: Any) -> Verdict:
    """Return the verdict, and assert that neighbours make no difference if they are not concerned."""
    given = judge(operation, new, old, neighbours, *apps, **known)
    if not concerns_neighbours(new, old):
        assert judge(operation, new, old, (), *apps, **known) == given
    return given


class TestCreating:
    def test_a_valid_component_is_admitted_without_warnings(self) -> None:
        assert create(component()) == UNTOUCHED
        assert create(component(settings=ACTORS), component("other")) == UNTOUCHED

    def test_all_problems_are_reported_at_once_each_in_a_line(self) -> None:
        wrong = component(settings={"redisDB": "many", "redisType": "clutser"}, scopes=["a,b"])
        verdict = create(wrong, component("default", settings={"defaultStateStore": "true"}))
        assert verdict.errors == (
            "spec.metadata[redisDB].value: 'many' is not a whole number; write a whole number, 0 or more",
            "spec.metadata[redisType].value: 'clutser' is not a redisType ('node' or 'cluster'); write 'cluster'",
            "scopes[0]: 'a,b' is more than one app id; write one list entry for each app",
        )
        assert verdict.refusal.splitlines() == ["3 problems", *(f"- {line}" for line in verdict.errors)]

    def test_a_name_that_cannot_be_a_key_of_a_secret_is_refused_even_under_daprs_definition(
        self,
    ) -> None:
        assert create(component("a" * 240)) == UNTOUCHED
        refused = create(component("a" * 241))
        assert refused.errors == ("metadata.name: the name is too long; write 240 characters at most",)
        assert create(component("a" * 241, type="pubsub.redis")).is_admitted, "it is left to Dapr"

    def test_one_problem_is_the_whole_refusal(self) -> None:
        verdict = create(component(type="state.rediss"))
        assert verdict.refusal == "spec.type: there is no component type 'state.rediss'; write 'state.redis'"
        assert not verdict.is_admitted

    def test_an_unreadable_component_is_refused_with_every_reason(self) -> None:
        broken = component()
        broken["spec"] = {"type": "state.redis", "initTimeout": "soon", "metadata": [{"value": {"a": 1}}]}
        assert create(broken).errors == (
            "spec.initTimeout: 'soon' is not a duration; write a number with a unit, such as 30s or 1m30s",
            "spec.metadata[0].name: is missing; write 'name: redisHost'",
            "spec.metadata[0].value: is a mapping but should be text; write one string, number or boolean",
        )

    def test_warnings_do_not_refuse(self) -> None:
        verdict = create(component(settings={"redisPasword": "x", "redisPassword": "secret", "poolSize": "3"}))
        assert verdict.is_admitted
        assert verdict.warnings == (
            "spec.metadata[redisPasword]: state.redis has no field 'redisPasword'; write 'redisPassword'",
            "spec.metadata[redisPassword].value: the value of 'redisPassword' is plain text; "
            "move it to a secret and write secretKeyRef instead",
            "spec.metadata[poolSize]: 'poolSize' has no effect, because all calls share one connection, "
            "so there is no pool to set",
        )
        assert "secret'" not in str(verdict.warnings), "a password is never quoted"

    def test_a_secret_that_is_not_there_is_warned_of_with_its_key(self) -> None:
        new = component()
        new["spec"]["metadata"].append({"name": "redisPassword", "secretKeyRef": {"name": "redis", "key": "password"}})
        (warning,) = create(new, known_secrets={"redis-auth": ["password"]}).warnings
        assert warning == (
            "spec.metadata[redisPassword].secretKeyRef.name: there is no Secret 'redis' with key 'password' yet; "
            "create it before an app needs this component"
        )

    def test_a_secret_store_that_is_not_there_is_warned_of(self) -> None:
        new = component(auth={"secretStore": "vault"})
        new["spec"]["metadata"].append({"name": "redisPassword", "secretKeyRef": {"name": "redis"}})
        (warning,) = create(new, known_secrets={}).warnings
        assert warning.startswith("auth.secretStore: there is no secret store 'vault' yet; add its component")

    def test_components_that_pannier_leaves_to_others_are_admitted_with_a_warning(self) -> None:
        verdict = create(component(type="pubsub.kafka", settings={"brokers": "a"}))
        assert verdict == Verdict((), ("spec.type: 'pubsub.kafka' is not served by Pannier and is skipped",))

    def test_a_component_that_fits_into_no_secret_is_refused(self) -> None:
        (error,) = create(component(type="state.sqlite", settings={"connectionString": "x" * 1100 * 1024})).errors
        assert error == (
            "spec.metadata: the values have 1100 KiB, and all components of an app together may have 1024 KiB; "
            "make them smaller"
        )

    def test_every_line_is_one_line_and_short_enough_for_a_header(self) -> None:
        name = "x\n" * 500
        verdict = create(component(settings={name: "1", "redisDB": "a\nb" * 500}, scopes=["\n" * 500 + "a b"]))
        for line in (*verdict.errors, *verdict.warnings):
            assert "\n" not in line and len(line) < 400


class TestASecondActorStateStore:
    OLD = component("first", settings=ACTORS)

    @pytest.mark.parametrize(
        ("theirs", "ours", "expected"),
        [
            (
                None,
                None,
                "'first' already is the actor state store of every app; remove actorStateStore from one of the two, "
                "or give both components scopes that share no app",
            ),
            (
                None,
                ["cart"],
                "'first' already is the actor state store of app 'cart'; remove actorStateStore from one of the two, "
                "or add scopes to 'first' that leave out 'cart'",
            ),
            (
                ["cart", "pay"],
                ["cart", "web"],
                "'first' already is the actor state store of app 'cart'; remove 'cart' from the scopes here",
            ),
        ],
    )
    def test_is_refused_naming_the_other_and_the_apps(
        self, theirs: list[str] | None, ours: list[str] | None, expected: str
    ) -> None:
        verdict = create(component("second", settings=ACTORS, scopes=ours), {**self.OLD, "scopes": theirs})
        assert verdict.errors == (f"spec.metadata[actorStateStore].value: {expected}",)

    def test_is_admitted_where_no_app_sees_both(self) -> None:
        there = component("first", settings=ACTORS, scopes=["pay"])
        assert create(component("second", settings=ACTORS, scopes=["cart"]), there).is_admitted
        assert create(component("second", settings=ACTORS, namespace="test"), self.OLD).is_admitted
        assert create(component("second"), self.OLD).is_admitted

    def test_is_found_by_truthy_words_in_any_case(self) -> None:
        for word in ("TRUE", "yes", "1", True, 1):
            assert not create(component("second", settings={"ACTORSTATESTORE": word}), self.OLD).is_admitted

    def test_only_counts_what_is_accepted_itself(self) -> None:
        broken = component("first", settings={**ACTORS, "redisDB": "x"})
        assert create(component("second", settings=ACTORS), broken).is_admitted

    def test_by_an_update_of_scopes_is_refused_also_for_the_older(self) -> None:
        old = component("orders", settings=ACTORS, scopes=["cart"], created="2020-01-01T00:00:00Z")
        new = component("orders", settings=ACTORS, scopes=["cart", "pay"], created="2020-01-01T00:00:00Z")
        there = component("payments", settings=ACTORS, scopes=["pay"])
        assert update(old, new, there).errors == (
            "spec.metadata[actorStateStore].value: 'payments' already is the actor state store of app 'pay'; "
            "remove 'pay' from the scopes here",
        )

    def test_a_second_store_that_slipped_in_does_not_keep_the_first_from_being_changed(self) -> None:
        changed = component("first", settings={**ACTORS, "readTimeout": "1s"})
        slipped_in = component("second", settings=ACTORS, created="2026-01-01T00:00:01Z")
        assert update(self.OLD, changed, slipped_in).is_admitted
        again = component("second", settings={**ACTORS, "readTimeout": "1s"}, created="2026-01-01T00:00:01Z")
        assert not update(slipped_in, again, self.OLD).is_admitted

    def test_a_second_default_store_is_refused_too(self) -> None:
        (error,) = create(
            component("second", settings={"defaultStateStore": "true"}),
            component("first", settings={"defaultStateStore": "true"}, scopes=["cart"]),
        ).errors
        assert "'first' already is the default state store of app 'cart'" in error


class TestUpdating:
    def test_labels_and_annotations_of_what_is_wrong_may_change(self) -> None:
        wrong = component(type="state.gone")
        relabelled = component(type="state.gone", annotations={"a": "b"})
        assert update(wrong, relabelled) == UNTOUCHED

    def test_an_object_that_is_being_deleted_may_lose_its_finalizers(self) -> None:
        ending = component(type="state.gone", scopes=["x"])
        ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        assert update(component(settings=ACTORS), ending, running=("cart",)) == UNTOUCHED

    def test_a_corrected_component_is_admitted(self) -> None:
        assert update(component(type="state.gone"), component()) == UNTOUCHED

    def test_a_component_is_no_rival_of_itself(self) -> None:
        old = component(settings={**ACTORS, "defaultStateStore": "true"})
        new = component(settings={**ACTORS, "defaultStateStore": "true", "redisDB": "0"})
        assert judge("UPDATE", new, old, [old, new]) == UNTOUCHED


class TestTheActorStateStoreOfRunningApps:
    OLD = component(settings=ACTORS)
    PROTECTED = component(settings=ACTORS, annotations={PROTECT_ACTOR_STORE: "true"})
    ADVICE = f'add the annotation {ALLOW_ACTOR_STORE_CHANGE}: "true" if that is meant, or stop them first'

    def test_is_deleted_with_a_warning(self) -> None:
        assert delete(self.OLD, running=("pay", "cart")) == Verdict(
            (), ("'orders' holds the actor state of running apps 'cart' and 'pay'; if the apps stay, apply it again",)
        )

    def test_is_not_deleted_by_accident_if_it_is_protected(self) -> None:
        assert delete(self.PROTECTED, running=("pay", "cart")).errors == (
            "'orders' holds the actor state of running apps 'cart' and 'pay' and is protected; if that is meant, run "
            "'kubectl annotate components.dapr.io -n shop orders pannier.dev/allow-actor-store-change=true' "
            "and then delete it, or stop them first",
        )

    def test_is_deleted_without_a_warning_if_no_app_runs_or_it_is_allowed(self) -> None:
        assert delete(self.OLD) == delete(self.PROTECTED) == UNTOUCHED
        assert delete(component(settings=ACTORS, scopes=["cart"]), running=("pay",)) == UNTOUCHED
        assert delete(component(settings=ACTORS, annotations=ALLOWED), running=("pay",)) == UNTOUCHED
        both = component(settings=ACTORS, annotations={**ALLOWED, PROTECT_ACTOR_STORE: "true"})
        assert delete(both, running=("pay",)) == UNTOUCHED
        assert delete(component(), running=("pay",)) == UNTOUCHED

    @pytest.mark.parametrize(
        "by",
        [
            "system:serviceaccount:kube-system:namespace-controller",
            "system:serviceaccount:kube-system:generic-garbage-collector",
            "system:kube-controller-manager",
        ],
    )
    def test_goes_with_its_namespace_and_its_owner(self, by: str) -> None:
        assert delete(self.PROTECTED, running=("pay",), by=by) == UNTOUCHED
        assert not delete(self.PROTECTED, running=("pay",), by="system:admin").is_admitted

    def test_is_only_what_was_delivered(self) -> None:
        loser = component("second", settings=ACTORS, created="2026-01-01T00:00:01Z")
        assert delete(loser, self.OLD, running=("pay",)) == UNTOUCHED
        assert delete(self.OLD, loser, running=("pay",)).warnings
        assert delete(component(settings={**ACTORS, "redisDB": "x"}), running=("pay",)) == UNTOUCHED

    @pytest.mark.parametrize(
        ("new", "expected"),
        [
            (
                component(),
                "spec.metadata[actorStateStore]: running apps 'cart' and 'pay' keep their actor state here and "
                "would lose it",
            ),
            (
                component(settings={"actorStateStore": "false"}),
                "spec.metadata[actorStateStore]: running apps 'cart' and 'pay' keep their actor state here and "
                "would lose it",
            ),
            (
                component(type="pubsub.redis", settings=ACTORS),
                "spec.type: running apps 'cart' and 'pay' keep their actor state here and would lose it",
            ),
            (
                component(settings=ACTORS, scopes=["pay"]),
                "scopes: running app 'cart' keeps its actor state here and would no longer see this component",
            ),
            (
                component(settings={**ACTORS, "redisHost": "other"}),
                "spec.metadata[redisHost]: running apps 'cart' and 'pay' keep their actor state in the old place",
            ),
            (
                component(type="state.in-memory", settings=ACTORS),
                "spec.type: running apps 'cart' and 'pay' keep their actor state in the old place",
            ),
        ],
    )
    def test_is_not_taken_away_or_moved_without_asking(self, new: dict[str, Any], expected: str) -> None:
        assert update(self.OLD, new, running=("cart", "pay")).errors == (f"{expected}; {self.ADVICE}",)
        assert update(self.OLD, new).is_admitted
        new = {**new, "metadata": {**new["metadata"], "annotations": ALLOWED}}
        assert update(self.OLD, new, running=("cart", "pay")).is_admitted

    def test_says_all_that_would_be_lost(self) -> None:
        new = component(settings={**ACTORS, "redisHost": "other", "redisDB": "2"}, scopes=["pay"])
        errors = update(self.OLD, new, running=("cart", "pay")).errors
        assert [error.split(":")[0] for error in errors] == [
            "scopes",
            "spec.metadata[redisHost]",
            "spec.metadata[redisDB]",
        ]

    def test_may_change_what_does_not_move_it(self) -> None:
        new = component(settings={**ACTORS, "readTimeout": "1s", "ttlInSeconds": "60"}, scopes=["cart", "pay", "web"])
        assert update(self.OLD, new, running=("cart", "pay")) == UNTOUCHED

    def test_names_a_few_of_many_apps(self) -> None:
        (warning,) = delete(self.OLD, running=tuple(f"app-{number}" for number in range(9))).warnings
        assert "running apps 'app-0', 'app-1', 'app-2', 'app-3', 'app-4' and 4 more" in warning

    def test_annotation_that_was_forgotten_is_warned_of(self) -> None:
        old = component(settings=ACTORS, annotations=ALLOWED)
        new = component(settings={**ACTORS, "readTimeout": "1s"}, annotations=ALLOWED)
        assert update(old, new, running=("cart",)) == Verdict(
            (),
            (
                "metadata.annotations[pannier.dev/allow-actor-store-change]: it is still set, so further changes "
                "of the actor state store are not checked; remove it when the move is done",
            ),
        )
        moved = component(settings={**ACTORS, "redisDB": "1"}, annotations=ALLOWED)
        assert update(old, moved, running=("cart",)) == UNTOUCHED
        assert update(self.OLD, new, running=("cart",)) == UNTOUCHED


class TestWhetherNeighboursAreConcerned:
    """The neighbours are read from the API server for each request that concerns them, and for no other."""

    def test_a_store_without_a_role_has_no_rival(self) -> None:
        assert not concerns_neighbours(component(), None)
        assert not concerns_neighbours(component(scopes=["shop"]), component())
        assert not concerns_neighbours(None, component())
        assert not concerns_neighbours(component(type="state.redsi"), None)

    @pytest.mark.parametrize("role", ["actorStateStore", "defaultStateStore"])
    def test_one_with_a_role_does(self, role: str) -> None:
        assert concerns_neighbours(component(settings={role: "true"}), None)
        assert concerns_neighbours(component(settings={role: "true"}), component())

    def test_one_that_had_actor_state_does(self) -> None:
        assert concerns_neighbours(None, component(settings=ACTORS))
        assert concerns_neighbours(component(), component(settings=ACTORS))

    def test_one_that_names_a_secret_store_does(self) -> None:
        reference = {"name": "redisPassword", "secretKeyRef": {"name": "redis", "key": "password"}}
        named = component(auth={"secretStore": "vault"})
        named["spec"]["metadata"].append(reference)
        assert concerns_neighbours(named, None)

    def test_a_change_that_is_not_judged_concerns_no_neighbours(self) -> None:
        old = component(settings=ACTORS)
        assert not concerns_neighbours({**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}}, old)
