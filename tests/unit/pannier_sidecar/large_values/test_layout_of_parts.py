"""The stored keys of parts are no app's, and what clients store is never read as a manifest."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pannier_sidecar.large_values.layout import (
    MARK,
    ROOT,
    Keys,
    Manifest,
    Record,
    as_stored,
    manifest_bytes,
    new_version,
    read,
    read_record,
    record_bytes,
    version_in,
)
from pannier_sidecar.state.errors import StateError, StoreRefusedError
from pannier_sidecar.state.keys import KeyScheme

MANIFEST = Manifest(new_version(), 2500, 1000)
TEXTS = st.text(alphabet="|-a.pannier", max_size=12) | st.sampled_from(["pannier", "||", "|", ROOT, "pannier||"])


@given(
    st.sampled_from(["appid", "name", "namespace", "none"]) | TEXTS, TEXTS, TEXTS, TEXTS, st.sampled_from(["||", "-"])
)
def test_no_app_can_name_a_part(strategy: str, owner: str, key: str, other: str, separator: str) -> None:
    try:
        scheme = KeyScheme(store=owner, app_id=owner, namespace="n", strategy=strategy, separator=separator)
    except ValueError:
        return
    makers: tuple[Callable[[], str], ...] = (
        lambda: scheme.stored(key),
        lambda: scheme.actor(key, other, key),
        lambda: scheme.actor(other, key, other),
    )
    for make in makers:
        try:
            stored = make()
        except StateError:
            continue
        assert "||||" not in stored


@given(st.sampled_from(["appid", "none", "pannier"]), st.sampled_from(["shop", "pannier"]), TEXTS.filter(bool))
def test_no_app_lists_a_part(strategy: str, app: str, key: str) -> None:
    for separator in ("||", "-"):
        scheme = KeyScheme(store="s", app_id=app, strategy=strategy, separator=separator)
        keys = Keys(scheme.prefix)
        for stored in (keys.part(key, MANIFEST.version, 0), keys.record(MANIFEST.version), keys.swept):
            assert stored.startswith(ROOT)
            if stored.startswith(scheme.prefix):
                assert scheme.listed(stored) is None
            assert scheme.actor_parts(stored) is None


BYTES = st.binary(max_size=20)


@given(BYTES | BYTES.map(lambda rest: MARK + rest) | st.just(manifest_bytes(MANIFEST)))
def test_what_a_client_stores_comes_back(value: bytes) -> None:
    stored = as_stored(value)
    assert (read(stored) if stored.startswith(MARK) else stored) == value
    assert version_in(stored) is None


def test_a_manifest_says_which_parts_there_are() -> None:
    assert read(manifest_bytes(MANIFEST)) == MANIFEST
    assert version_in(manifest_bytes(MANIFEST)) == MANIFEST.version
    assert MANIFEST.number_of_parts == 3
    assert [MANIFEST.size_of(number) for number in range(3)] == [1000, 1000, 500]
    assert len(Keys("app||").part("x" * 1000, MANIFEST.version, 10**6)) < 140


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"x",
        b"m",
        b"m{}",
        b"mnull",
        b'm{"version":"0","size":1,"part_size":1}',
        *(
            b"m" + msgspec.json.encode({"version": "0" * 32, "size": size, "part_size": part})
            for size, part in ((0, 0), (10, 0), (10, -1), (-5, -5), (1, 2), (10, 1.5))
        ),
        b'm{"version":"' + b"0" * 32 + b'","size":10,"part_size":1,"more":1}',
        b'm{"version":"../../' + b"0" * 26 + b'","size":10,"part_size":1}',
    ],
)
def test_a_broken_manifest_is_an_error_in_one_line(wrong: bytes) -> None:
    with pytest.raises(StoreRefusedError, match="^the list of the value's parts was changed in the database; write"):
        read(MARK + wrong)
    assert version_in(MARK + wrong) is None


def test_records_are_read_back_and_others_ignored() -> None:
    record = Record("app||k", 16, 1.5, is_unused=True)
    assert read_record(record_bytes(record)) == record
    for other in (b"", b"x", b"{}", b"[1]", MARK, b"\xff"):
        assert read_record(other) is None
    keys = Keys("app||")
    assert keys.version_of(keys.record(MANIFEST.version)) == MANIFEST.version
    for stored in (keys.swept, keys.part("k", MANIFEST.version, 0), keys.records, "app||k"):
        assert keys.version_of(stored) is None


def test_a_manifest_of_another_key_finds_no_parts() -> None:
    keys, others = Keys("app||"), Keys("other||")
    version = MANIFEST.version
    stored = {keys.part("app||a", version, 0), keys.part("app||b", version, 0), others.part("app||a", version, 0)}
    assert len(stored) == 3
