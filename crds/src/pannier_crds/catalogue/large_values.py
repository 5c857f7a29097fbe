"""The fields by which a state store keeps large values in parts, and which stores can."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.catalogue import encryption
from pannier_crds.catalogue.model import Field
from pannier_crds.catalogue.sizes import size_between
from pannier_crds.problems import error, metadata_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import ComponentType, Setting
    from pannier_crds.component import Component
    from pannier_crds.problems import Problem

LARGE_VALUES: Final = "largeValues"
PART_SIZE: Final = "largeValuePartSize"
MAX_SIZE: Final = "largeValueMaxSize"

_KIB: Final = 1024
_MIN_PART: Final = _KIB
_MAX_PART: Final = 4 * _KIB**2
_MAX_VALUE: Final = _KIB**4
_LARGEST_PARTS: Final = {
    "state.azure.tablestorage": 60 * _KIB,
    "state.aws.dynamodb": 256 * _KIB,
    "state.hashicorp.consul": 360 * _KIB,
    "state.jetstream": 960 * _KIB,
    "state.etcd": 1024 * _KIB,
}
"""Bytes of a part, where the database takes no value of 4 MiB: with room for encryption, base64 and names."""
_PREFIXLESS: Final = "state.azure.blobstorage"


def parse_part_size(text: str) -> int:
    """Return the bytes of a part. Raises InvalidValueError."""
    return size_between(text, _MIN_PART, _MAX_PART, "write a size from 1Ki to 4Mi, such as 256Ki")


def parse_max_size(text: str) -> int:
    """Return the bytes of the largest value. Raises InvalidValueError."""
    return size_between(text, _MIN_PART, _MAX_VALUE, "write a size up to 1Ti, such as 1Gi")


FIELDS: Final = (
    Field(
        LARGE_VALUES,
        "boolean",
        description="Whether a value larger than a part is kept in several parts",
        default=False,
    ),
    Field(
        PART_SIZE,
        description="Size of a part, from 1Ki to 4Mi, such as 64Ki; a value that is no larger is stored as it is",
        default="256Ki",
        reads=parse_part_size,
    ),
    Field(
        MAX_SIZE,
        description="Size of the largest value that is kept in parts, up to 1Ti",
        default="1Gi",
        reads=parse_max_size,
    ),
)


def must_be_on(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    """Yield a problem for a size without effect, and for a format of encryption that could not keep parts apart."""
    if LARGE_VALUES in settings and settings[LARGE_VALUES] is not True:
        for name in (PART_SIZE, MAX_SIZE):
            if name in given:
                message = f"without {LARGE_VALUES} no value is kept in parts"
                yield error(metadata_path(name), message, f'add {LARGE_VALUES}: "true", or take this field out')
    elif settings.get(LARGE_VALUES) is True and settings.get(encryption.FORMAT) == "dapr":
        message = "Dapr reads no value that is kept in parts, and its encryption does not bind a part to its place"
        yield error(metadata_path(LARGE_VALUES), message, f"take this field out, or {encryption.FORMAT}")


def part_size(component_type: ComponentType, settings: Mapping[str, Setting]) -> int:
    """Return the bytes of a part: as the component says, or fewer where the database takes fewer."""
    wanted = parse_part_size(str(settings[PART_SIZE]))
    return min(wanted, _LARGEST_PARTS.get(component_type.name, wanted))


def large_value_problems(
    component: Component, component_type: ComponentType, settings: Mapping[str, Setting]
) -> Iterator[Problem]:
    """Yield a problem for a store that could not remove parts, or takes no part of this size."""
    if settings.get(LARGE_VALUES) is not True:
        return
    field = metadata_path(LARGE_VALUES)
    if not component_type.is_pluggable and "KEYS_LIKE" not in component_type.features:
        message = f"{component_type.name} can't list keys, so parts that a killed sidecar leaves would stay for ever"
        yield error(field, message, "take this field out")
    elif component_type.name == _PREFIXLESS and component_type.versions == ("v1",):
        message = "version v1 leaves the first part of a key out of the names of blobs, which parts need"
        yield error(field, message, "write version: v2, or take this field out")
    largest = _LARGEST_PARTS.get(component_type.name, _MAX_PART)
    if component.item(PART_SIZE) is not None and parse_part_size(str(settings[PART_SIZE])) > largest:
        message = f"{component_type.name} takes parts of up to {largest // _KIB}Ki"
        yield error(metadata_path(PART_SIZE), message, f"write {largest // _KIB}Ki or less")
