"""Fields whose value is a size."""

from __future__ import annotations

from pannier_crds.problems import InvalidValueError
from pannier_crds.values import parse_size


def size_between(text: str, minimum: int, maximum: int, advice: str) -> int:
    """Return the bytes in a Kubernetes quantity. Raises InvalidValueError, with the advice, for any other text, and for
    a size out of the range.
    """
    try:
        size = parse_size(text)
    except ValueError:
        raise InvalidValueError("the value is not a size", advice) from None
    if not minimum <= size <= maximum:
        raise InvalidValueError(f"the value is too {'small' if size < minimum else 'large'}", advice)
    return size
