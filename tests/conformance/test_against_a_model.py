"""Any sequence of calls does what a dict would do."""

import asyncio
from collections.abc import Callable
from itertools import count

import pytest
from conformance.calls import REFUSED, agree, all_keys, error_of
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from servers.database import Database

from pannier_sidecar.state.requests import Delete, Get, Set, Write
from pannier_sidecar.state.store import Feature, Store, StoredValue

pytestmark = pytest.mark.topic("any sequence of calls")

NAMES = st.sampled_from(["a", "b", "ab", "ü", "a b"])
VALUES = st.one_of(st.binary(max_size=20), st.sampled_from([b"", b"null", b'{"a": 1}', b"\0"]))
GUARDS = st.sampled_from(["none", "current", "stale", "absent"])
TTLS = st.sampled_from([None, None, 1000])
WRITES = st.tuples(st.booleans(), NAMES, VALUES, GUARDS, TTLS)


class Model(RuleBasedStateMachine):
    """The store, and a dict with what should be in it."""

    make_store: Callable[[], Store]
    prefix: str
    form = "{{{}{}}}||"
    """Of the beginning of its keys: they have one hash slot, for the transactions."""
    numbers = count()
    features: frozenset[Feature]

    @initialize()
    def opened(self) -> None:
        self.runner = asyncio.Runner()
        self.store = self.make_store()
        self.here = self.form.format(self.prefix, next(self.numbers))
        self.model: dict[str, StoredValue] = {}
        self.past: dict[str, str] = {}
        self.runner.run(self.store.open())

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()

    def write_of(self, drawn: tuple[bool, str, bytes, str, int | None]) -> Write:
        is_set, name, value, guard, ttl = drawn
        if_match = None
        if guard == "current":
            if_match = self.model[name].etag if name in self.model else self.past.get(name, "1")
        elif guard == "stale":
            if_match = self.past.get(name, "1")
        key = self.here + name
        if is_set:
            return Set(key, value, if_match, guard == "absent", ttl if Feature.TTL in self.features else None)
        return Delete(key, if_match, guard == "absent")

    def holds(self, write: Write, model: dict[str, StoredValue]) -> bool:
        found = model.get(write.key.removeprefix(self.here))
        if write.if_absent:
            return found is None
        return write.if_match is None or (found is not None and found.etag == write.if_match)

    def take_over(self, *writes: Write) -> None:
        """Update the model as the store should have changed, and learn the new ETags."""
        for write in writes:
            name = write.key.removeprefix(self.here)
            before = self.model.pop(name, None)
            if before is not None:
                self.past[name] = before.etag
            if isinstance(write, Set):
                found = self.runner.run(self.store.get(Get(write.key)))
                assert found is not None
                assert (found.expires_at is None) is (write.ttl is None)
                assert found.etag != self.past.get(name)
                self.model[name] = found
                assert found.value == write.value

    @rule(drawn=WRITES)
    def writes_one(self, drawn: tuple[bool, str, bytes, str, int | None]) -> None:
        write = self.write_of(drawn)
        holds = self.holds(write, self.model)
        call = self.store.set(write) if isinstance(write, Set) else self.store.delete(write)
        error = self.runner.run(error_of(call))
        assert isinstance(error, REFUSED) is not holds
        if holds:
            self.take_over(write)

    @rule(drawn=st.lists(WRITES, max_size=6, unique_by=lambda write: write[1]))
    def writes_in_bulk(self, drawn: list[tuple[bool, str, bytes, str, int | None]]) -> None:
        writes = [self.write_of(one) for one in drawn]
        hold = [self.holds(write, self.model) for write in writes]
        errors = self.runner.run(self.store.bulk_write(writes))
        assert [error is None for error in errors] == hold
        self.take_over(*(write for write, holds in zip(writes, hold, strict=True) if holds))

    @precondition(lambda self: Feature.TRANSACTIONAL in self.features)
    @rule(drawn=st.lists(WRITES, max_size=6))
    def writes_in_a_transaction(self, drawn: list[tuple[bool, str, bytes, str, int | None]]) -> None:
        writes = [self.write_of(one) for one in drawn]
        hold = all(self.holds(write, self.model) for write in writes)
        error = self.runner.run(error_of(self.store.transact(writes)))
        assert isinstance(error, REFUSED) is not hold
        if hold:
            last = {write.key: write for write in writes}
            self.take_over(*last.values())

    @invariant()
    def holds_what_the_dict_holds(self) -> None:
        if not hasattr(self, "model"):
            return
        names = ["a", "b", "ab", "ü", "a b"]
        found = self.runner.run(self.store.bulk_get([Get(self.here + name) for name in names]))
        pairs = zip(found, [self.model.get(name) for name in names], strict=True)
        assert [pair for pair in pairs if not agree(*pair)] == []

    @precondition(lambda self: Feature.KEYS_LIKE in self.features)
    @rule(start=st.sampled_from(["", "a", "ab", "ü", "z"]), limit=st.integers(1, 4))
    def lists(self, start: str, limit: int) -> None:
        listed = self.runner.run(all_keys(self.store, self.here + start, limit))
        assert sorted(listed) == sorted(self.here + name for name in self.model if name.startswith(start))


def test_does_what_a_dict_does(subject: Database, make_store: Callable[[], Store], prefix: str) -> None:
    form = {"form": "{}{}-"} if subject.keeps_one_app else {}
    here = {**form, "make_store": staticmethod(make_store), "prefix": prefix, "features": subject.claims}
    machine = type("Machine", (Model,), here)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=subject.model_runs,
            stateful_step_count=25,
            suppress_health_check=list(HealthCheck),
        ),
    )
