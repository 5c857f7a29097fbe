"""Credential providers of redis-py: which of them a sidecar's owner lists, and with what they are called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pannier_crds.catalogue.tokens import CLASS
from pannier_crds.problems import InvalidValueError, error, metadata_path
from pannier_crds.secret import reveal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pannier_crds.catalogue.model import Setting
    from pannier_crds.problems import Problem

NAME: Final = "credentialProvider"


def names(text: str) -> tuple[str, ...]:
    """Return the names in a list that commas separate. Raises ValueError with what to write instead."""
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not found or not all(re.fullmatch(CLASS.pattern, name) for name in found):
        raise ValueError("write module:Class, several separated by commas")
    return found


def arguments(text: str) -> dict[str, Any]:
    """Return keyword arguments that are written as a JSON object. Raises InvalidValueError."""
    import json  # few components have any

    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidValueError("the value is not a JSON object", 'write one such as {"role": "shop"}')
    return found


def unlisted(settings: Mapping[str, Setting], listed: Collection[str]) -> Iterator[Problem]:
    """Yield a problem if a component names a class that the owner of the sidecar has not listed.

    A component must not be able to have the sidecar run code of its author's choice.
    """
    name = reveal(settings.get(NAME))
    if name and name not in listed:
        message = "the sidecar's owner has not listed this class, so it is not loaded"
        advice = (
            "name it in --credential-providers or PANNIER_CREDENTIAL_PROVIDERS, on a pod in the annotation "
            "pannier.dev/credential-providers"
        )
        yield error(metadata_path(NAME), message, advice)
