"""Which components may keep large values in parts, as `check`, admission and the sidecar say it."""

from __future__ import annotations

import pytest
from unit.tables import each_row

from pannier_crds import catalogue
from pannier_crds.catalogue.large_values import part_size
from pannier_crds.checks import problems_of
from pannier_crds.component import Component, MetadataItem
from pannier_crds.values import parse_size

REDIS = {"redisHost": "localhost:6379"}


def errors(kind: str, version: str = "v1", **fields: str) -> list[str]:
    given = tuple(MetadataItem(name, value) for name, value in fields.items())
    return [
        str(problem)
        for problem in problems_of(Component("s", kind, version=version, metadata=given))
        if problem.is_error
    ]


@each_row(
    ("fields", "expected"),
    [
        ({"largeValues": "true"}, []),
        ({"largeValues": "true", "largeValuePartSize": "1Ki", "largeValueMaxSize": "1Ti"}, []),
        ({"largeValues": "true", "largeValuePartSize": "4194304", "largeValueMaxSize": "1.5G"}, []),
        (
            {"largeValuePartSize": "1Mi"},
            [
                "spec.metadata[largeValuePartSize]: without largeValues no value is kept in parts; "
                'add largeValues: "true", or take this field out'
            ],
        ),
        (
            {"largeValues": "false", "largeValueMaxSize": "1Mi"},
            [
                "spec.metadata[largeValueMaxSize]: without largeValues no value is kept in parts; "
                'add largeValues: "true", or take this field out'
            ],
        ),
        (
            {"largeValues": "true", "largeValuePartSize": "5Mi", "largeValueMaxSize": "much"},
            [
                "spec.metadata[largeValuePartSize].value: the value is too large; "
                "write a size from 1Ki to 4Mi, such as 256Ki",
                "spec.metadata[largeValueMaxSize].value: the value is not a size; write a size up to 1Ti, such as 1Gi",
            ],
        ),
        (
            {"largeValues": "true", "largeValuePartSize": "1023"},
            [
                "spec.metadata[largeValuePartSize].value: the value is too small; "
                "write a size from 1Ki to 4Mi, such as 256Ki"
            ],
        ),
        (
            {"largeValues": "true", "primaryEncryptionKey": "00112233445566778899aabbccddeeff"},
            [],
        ),
    ],
)
def test_sizes_are_checked(fields: dict[str, str], expected: list[str]) -> None:
    assert errors("state.redis", **REDIS, **fields) == expected


def test_daprs_encryption_is_refused_because_it_does_not_bind_parts() -> None:
    found = errors("state.redis", **REDIS, largeValues="true", encryptionFormat="dapr")
    assert (
        "spec.metadata[largeValues]: Dapr reads no value that is kept in parts, and its encryption does not bind a "
        "part to its place; take this field out, or encryptionFormat"
    ) in found


def test_a_store_without_lists_of_keys_is_refused() -> None:
    said = (
        "spec.metadata[largeValues]: state.memcached can't list keys, so parts that a killed sidecar leaves would stay "
        "for ever; take this field out"
    )
    assert said in errors("state.memcached", largeValues="true")


def test_blobs_need_version_2() -> None:
    of_parts = [error for error in errors("state.azure.blobstorage", largeValues="true") if "largeValues" in error]
    assert of_parts == [
        "spec.metadata[largeValues]: version v1 leaves the first part of a key out of the names of blobs, which parts "
        "need; write version: v2, or take this field out"
    ]
    assert not [e for e in errors("state.azure.blobstorage", "v2", largeValues="true") if "largeValues" in e]


def test_parts_are_no_larger_than_the_database_takes() -> None:
    tables = catalogue.component_type("state.azure.tablestorage", "v1")
    redis = catalogue.component_type("state.redis", "v1")
    assert tables is not None and redis is not None
    assert part_size(tables, {"largeValuePartSize": "256Ki"}) == 60 * 1024
    assert part_size(tables, {"largeValuePartSize": "2Ki"}) == 2 * 1024
    assert part_size(redis, {"largeValuePartSize": "4Mi"}) == 4 * 1024**2
    found = errors("state.azure.tablestorage", largeValues="true", largeValuePartSize="64Ki")
    assert (
        "spec.metadata[largeValuePartSize]: state.azure.tablestorage takes parts of up to 60Ki; write 60Ki or less"
        in found
    )


@each_row(
    ("text", "size"),
    [("1", 1), ("4Mi", 4 * 1024**2), ("1.5Ki", 1536), ("2k", 2000), (" 1Gi ", 1024**3)],
)
def test_sizes_are_kubernetes_quantities(text: str, size: int) -> None:
    assert parse_size(text) == size


@each_row("text", ["", "-1", "1KB", "1e3", "1 Mi", "\u0661", "9" * 40])
def test_other_texts_are_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)
