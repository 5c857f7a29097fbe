"""No text in a components folder ends the sidecar: every file is served, refused or skipped."""

from __future__ import annotations

import random

import yaml
from hypothesis import given
from hypothesis import strategies as st

from pannier_sidecar.loading.folder import parse
from pannier_sidecar.loading.planning import plan
from pannier_sidecar.loading.resolving import ResolutionContext

ABOUT = ResolutionContext("shop", namespace="red", environment={"A": "x"})
NAMES = st.sampled_from(
    [
        "orders",
        "keyPrefix",
        "keyScheme",
        "ttlInSeconds",
        "actorStateStore",
        "redisHost",
        "secretsFile",
        "connectionString",
    ]
)
TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["true", "a||b", "{uuid}", "{podName}", "~nobody-of-that-name/x", "10", "-1", "dash", "none"]),
)
SCALARS = st.one_of(TEXTS, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False))
ITEMS = st.fixed_dictionaries(
    {"name": NAMES},
    optional={
        "value": SCALARS,
        "envRef": st.sampled_from(["A", "B", "DAPR_X", ""]),
        "secretKeyRef": st.fixed_dictionaries({"name": TEXTS}, optional={"key": TEXTS}),
    },
)
TYPES = st.sampled_from(
    [
        "state.in-memory",
        "state.redis",
        "state.sqlite",
        "secretstores.local.env",
        "secretstores.local.file",
        "state.x",
        "x",
    ]
)
COMPONENTS = st.fixed_dictionaries(
    {
        "apiVersion": st.just("dapr.io/v1alpha1"),
        "kind": st.just("Component"),
        "metadata": st.fixed_dictionaries({"name": st.sampled_from(["a", "b", "c", "..", "ä b"])}),
        "spec": st.fixed_dictionaries(
            {"type": TYPES, "version": st.just("v1"), "metadata": st.lists(ITEMS, max_size=4)}
        ),
    },
    optional={
        "scopes": st.lists(st.sampled_from(["shop", "other"]), max_size=2),
        "auth": st.fixed_dictionaries({"secretStore": st.sampled_from(["a", "b", "kubernetes"])}),
    },
)
FILES = st.lists(st.lists(st.one_of(COMPONENTS, SCALARS), max_size=3), max_size=3)


@given(before=FILES, after=FILES, seed=st.integers(0, 2**32))
def test_every_change_of_a_folder_has_a_verdict(before, after, seed):
    first = plan(parse(contents(before)), ABOUT)
    second = plan(parse(contents(after, random.Random(seed))), ABOUT, first.desired)
    for each in (first, second):
        names = [desired.name for desired in each.desired]
        assert len(names) == len(set(names))
        assert sum(desired.holds_actor_state for desired in each.desired) <= 1
        assert all(refused.problems and refused.why for refused in each.refused)


def contents(files: list[list[object]], break_with: random.Random | None = None) -> dict[str, bytes]:
    """The files as YAML, some of them with a few changed bytes."""
    texts = {}
    for index, documents in enumerate(files):
        text = bytearray(yaml.safe_dump_all(documents, allow_unicode=True).encode())
        if break_with is not None and text and break_with.random() < 0.5:
            for _ in range(3):
                text[break_with.randrange(len(text))] = break_with.randrange(256)
        texts[f"{index}.yaml"] = bytes(text)
    return texts
