"""Which names mean the same secret, in the secret stores that know one by several names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME_IN_ARN: Final = re.compile(":(?:secret:|parameter/)([^:]*)", re.IGNORECASE)
_OF_AWS: Final = ("secretstores.aws.secretmanager", "secretstores.aws.parameterstore")
"""An ARN ends in a name, to which Secrets Manager adds a dash and six characters."""


def is_same(store_type: str, one: str, other: str) -> bool:
    """Return whether two names surely mean the same secret."""
    return one == other or (
        not _is_arn(store_type, one)
        and not _is_arn(store_type, other)
        and _plain_name(store_type, one) == _plain_name(store_type, other)
    )


def may_be_same(store_type: str, one: str, other: str) -> bool:
    """Return whether two names may mean the same secret. An ARN does not say where the name in it ends."""
    plain, others = _plain_name(store_type, one), _plain_name(store_type, other)
    return (
        plain == others
        or (_is_arn(store_type, one) and plain.startswith(f"{others}-"))
        or (_is_arn(store_type, other) and others.startswith(f"{plain}-"))
    )


def _plain_name(store_type: str, name: str) -> str:
    """Return the one name of a secret that may be read by several; of an ARN, what begins with the name."""
    if _is_arn(store_type, name):
        found = _NAME_IN_ARN.search(name)
        return "" if found is None else found[1].lstrip("/")
    read = _STORES.get(store_type.lower())
    return name if read is None else read(name)


def _is_arn(store_type: str, name: str) -> bool:
    return store_type.lower() in _OF_AWS and name.lower().startswith("arn:")


def _without_version(name: str) -> str:
    """Leave out a version or label, which follows a colon; names have none."""
    return name.partition(":")[0].lstrip("/")


def _without_project(name: str) -> str:
    """Leave out the project, with which Dapr names secrets that are read all at once."""
    return name.rpartition("/")[2]


_STORES: Final[dict[str, Callable[[str], str]]] = {
    "secretstores.aws.parameterstore": _without_version,
    "secretstores.azure.keyvault": str.lower,
    "secretstores.gcp.secretmanager": _without_project,
}
"""Other stores know a secret by one name, and compare every letter of it."""
