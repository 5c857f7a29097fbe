"""What a catalogue entry consists of: a component type, its fields, and rules across fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pannier_crds.problems import Problem
from pannier_crds.secret import Secret

Kind = Literal["string", "integer", "number", "boolean", "duration", "choice"]
Setting = str | int | float | bool | Secret | None
"""The value of a setting: a duration is a float in seconds, a choice is spelt as in the field's `choices`.

A text is a Secret if its field is sensitive, or if it came from a secret or the environment. Rules get it as plain
text, to parse it, and must not quote it.
"""

Reader = Callable[[str], object]
"""Parses the text of a value; raises InvalidValueError if it cannot."""

Rule = Callable[[Mapping[str, Setting], frozenset[str]], Iterable[Problem]]
"""Returns problems that concern several fields. It gets the settings with known values, and the names of all settings
that the component gives.

Both use canonical names. A setting whose value is wrong, or is a reference that is not read yet, is only among the
names.
"""


@dataclass(frozen=True, slots=True)
class Form:
    """What the text of a string must look like, and the error otherwise: `the value is not {noun}; {advice}`."""

    pattern: str
    noun: str
    advice: str


@dataclass(frozen=True, slots=True)
class Field:
    """One metadata field of a component type.

    `bare_unit` is the unit of a duration that has none (ns, us, ms, s, m, h); `must_be_positive` reads a duration of 0
    or less as the default, because Dapr's meaning (no limit) would let a call hang. `unit` is the unit of a number.
    `stands_for` makes the field an older spelling, with its own unit, of another one. `ignored` is the reason why a
    field that Dapr knows has no effect here. `refused` makes the field an error, with this reason and advice, because
    ignoring it would be dangerous; a boolean is refused only when it is true. `refused_if_empty` makes an empty value
    an error, with this reason and advice; elsewhere an empty value counts as not given. `places_data`: with another
    value, actor state is looked for elsewhere (in another server, database or table, or under other stored keys).
    `reads` parses the whole text as the store does, if a pattern is not enough. `names_a_file`: without a value, a file
    of the component's name in the user's data folder is used.
    """

    name: str
    kind: Kind = "string"
    description: str = ""
    default: Setting = None
    required: bool = False
    sensitive: bool = False
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    unit: str | None = None
    bare_unit: str | None = None
    must_be_positive: bool = False
    form: Form | None = None
    reads: Reader | None = None
    stands_for: str | None = None
    ignored: str | None = None
    refused: tuple[str, str] | None = None
    refused_if_empty: tuple[str, str] | None = None
    places_data: bool = False
    names_a_file: bool = False

    @property
    def canonical_name(self) -> str:
        """The name under which the setting is found in what `read_settings` returns."""
        return self.stands_for or self.name

    @property
    def has_effect(self) -> bool:
        return self.ignored is None and self.refused is None


ACTOR: Final = "ACTOR"


@dataclass(frozen=True, slots=True)
class ComponentType:
    """One component type in the versions that share its fields.

    `features` are Dapr's words for what a state store can do: ETAG, TRANSACTIONAL, TTL, KEYS_LIKE (keys can be listed).
    Those of a pluggable component are known only when it is open.
    """

    name: str
    title: str
    fields: tuple[Field, ...]
    versions: tuple[str, ...] = ("v1",)
    aliases: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    is_pluggable: bool = False

    @property
    def is_state_store(self) -> bool:
        return self.name.startswith("state.")

    @property
    def capabilities(self) -> tuple[str, ...]:
        """The features, and ACTOR if ETAG and TRANSACTIONAL make it possible."""
        return (*self.features, ACTOR) if self.can_hold_actor_state else self.features

    @property
    def can_hold_actor_state(self) -> bool:
        return "ETAG" in self.features and "TRANSACTIONAL" in self.features

    def field(self, name: str) -> Field | None:
        """Return the field of that name or alias, ignoring case."""
        lower = name.lower()
        for field in self.fields:
            if lower == field.name.lower() or (field.aliases and lower in map(str.lower, field.aliases)):
                return field
        return None

    def field_names(self) -> tuple[str, ...]:
        """Return the names that users should write, without aliases and fields that have no effect."""
        return tuple(field.name for field in self.fields if field.has_effect and field.stands_for is None)
