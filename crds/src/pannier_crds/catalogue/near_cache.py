"""The fields by which a state store keeps values in the sidecar's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.catalogue.large_values import LARGE_VALUES
from pannier_crds.catalogue.model import Field
from pannier_crds.catalogue.sizes import size_between
from pannier_crds.problems import error, metadata_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Setting
    from pannier_crds.problems import Problem

CACHE_SIZE: Final = "cacheSize"
CACHE_MAX_AGE: Final = "cacheMaxAge"

_MIN_SIZE: Final = 64 * 1024
_MAX_SIZE: Final = 16 * 1024**3
_MIN_AGE_S: Final = 0.1


def parse_cache_size(text: str) -> int:
    """Return the bytes of a cache. Raises InvalidValueError."""
    return size_between(text, _MIN_SIZE, _MAX_SIZE, "write a size from 64Ki to 16Gi, such as 32Mi")


FIELDS: Final = (
    Field(
        CACHE_SIZE,
        description="How much of the sidecar's memory holds values that eventual reads are answered from, such as "
        "32Mi; without it, none is held",
        reads=parse_cache_size,
    ),
    Field(
        CACHE_MAX_AGE,
        "duration",
        description="How long a value is answered from memory before it is read again",
        default=30.0,
        bare_unit="s",
    ),
)


def cache_works(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    """Yield a problem for a cache that would hold nothing, or what it may not hold."""
    if CACHE_SIZE not in given:
        if CACHE_MAX_AGE in given:
            message = f"without {CACHE_SIZE} no value is held in memory"
            yield error(metadata_path(CACHE_MAX_AGE), message, f"add {CACHE_SIZE}, or take this field out")
        return
    age = settings.get(CACHE_MAX_AGE)
    if isinstance(age, float) and age < _MIN_AGE_S:
        message = "no value would be old enough to be held" if age <= 0 else "the value is too small"
        yield error(metadata_path(CACHE_MAX_AGE), message, f"write 100ms or more, or take {CACHE_SIZE} out")
    if settings.get(LARGE_VALUES) is True:
        message = "values in parts are not held in memory"
        yield error(
            metadata_path(CACHE_SIZE), message, "take this field out, or keep large values in another component"
        )
