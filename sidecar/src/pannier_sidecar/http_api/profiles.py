"""Where the published specs and Dapr 1.18 answer differently over HTTP: one profile for each.

What differs in the answer of an error is declared on the error (`dapr_...` in `state/errors`).
"""

from __future__ import annotations

from msgspec import Struct


class Profile(Struct, frozen=True):
    """One way to answer over HTTP."""

    name: str
    saved: int
    """Status of a save."""
    deleted: int
    """Status of a delete."""
    is_lenient: bool
    """Accepts numbers in place of strings (`"etag": 3`), and JSON in a JSON string, as examples of the published specs
    send them."""
    gives_advice: bool
    """Messages end in advice; otherwise they are Dapr's, word for word, and the advice is in a detail."""
    invokes_apps: bool
    """Unknown paths get the answer of Dapr's service invocation to a call without an app id."""
    plus_is_space: bool
    """`+` in a path stands for a space, as Dapr decodes it."""
    tidies_paths: bool
    """Removes empty segments, `.`, `..` and a trailing slash from a path before the search, as Dapr does."""


SPEC = Profile(
    "spec",
    saved=201,
    deleted=200,
    is_lenient=True,
    gives_advice=True,
    invokes_apps=False,
    plus_is_space=False,
    tidies_paths=False,
)
DAPR = Profile(
    "dapr",
    saved=204,
    deleted=204,
    is_lenient=False,
    gives_advice=False,
    invokes_apps=True,
    plus_is_space=True,
    tidies_paths=True,
)
PROFILES = {profile.name: profile for profile in (SPEC, DAPR)}
