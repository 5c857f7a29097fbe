"""Parse the text of metadata values into typed settings: once, for checks and for opening a store."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pannier_crds.catalogue import every_state_store
from pannier_crds.problems import InvalidValueError, Problem, error, listed, metadata_path, quoted
from pannier_crds.secret import Secret, is_hidden, reveal
from pannier_crds.suggestions import closest
from pannier_crds.values import parse_boolean, parse_duration

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pannier_crds.catalogue.model import ComponentType, Field, Setting

INTEGER: Final = re.compile(r"[+-]?\d{1,18}", re.ASCII)
NUMBER: Final = re.compile(r"[+-]?(\d{1,18}(\.\d{0,18})?|\.\d{1,18})([eE][+-]?\d{1,2})?", re.ASCII)
_MAX_SHOWN: Final = 10
_UNIT_NAMES: Final = {
    "ns": "nanoseconds",
    "us": "microseconds",
    "ms": "milliseconds",
    "s": "seconds",
    "m": "minutes",
    "h": "hours",
}


def read_settings(
    component_type: ComponentType, values: Mapping[str, str | Secret], *, unresolved: Collection[str] = ()
) -> tuple[dict[str, Setting], list[Problem]]:
    """Return typed settings under canonical names, with defaults, and everything that is wrong with the values.

    `values` are resolved texts by name, in any case; an empty text counts as not given. Names that the type does not
    have are left out. `unresolved` are the names of settings that are references and not read yet: they count as given,
    and the result has their defaults. Fields without effect are not in the result.

    No problem quotes free text, because someone may have put a password into the wrong field.
    """
    reading = _Reading(component_type)
    for name, text in values.items():
        reading.take(name, text)
    for name in unresolved:
        reading.take_unresolved(name)
    return reading.result(), [*reading.problems, *reading.missing(), *reading.broken_rules()]


class _Reading:
    """Reads the values of one component."""

    def __init__(self, component_type: ComponentType) -> None:
        self.component_type = component_type
        self.problems: list[Problem] = []
        self.settings: dict[str, Setting] = {
            field.name: field.default
            for field in component_type.fields
            if field.has_effect and field.stands_for is None
        }
        self._given: dict[str, str] = {}  # canonical name -> the name as written
        self._secrets: dict[str, Secret] = {}
        self._unknown: set[str] = set()  # canonical names whose value is wrong, or not known yet

    def result(self) -> dict[str, Setting]:
        """Return the settings; texts that must not be shown are Secrets."""
        return {**self.settings, **self._secrets}

    def take(self, name: str, value: str | Secret) -> None:
        field = self.component_type.field(name)
        text = reveal(value)
        if field is None:
            return
        if not text.strip():
            self._refuse_empty(field, name)
            return
        if field.refused is not None:
            self._refuse(field, name, text)
        elif field.ignored is None and self._claim(field, name):
            try:
                setting = convert(field, text, is_secret=isinstance(value, Secret))
                self.settings[field.canonical_name] = setting
                if isinstance(setting, str) and field.kind == "string" and (field.sensitive or value is not text):
                    self._secrets[field.canonical_name] = Secret(setting, is_from_elsewhere=is_hidden(value))
            except InvalidValueError as wrong:
                self._unknown.add(field.canonical_name)
                self.problems.append(error(metadata_path(name, "value"), wrong.message, wrong.advice))

    def _refuse_empty(self, field: Field, name: str) -> None:
        if field.refused_if_empty is not None and self._claim(field, name):
            self._unknown.add(field.canonical_name)
            message, advice = field.refused_if_empty
            self.problems.append(error(metadata_path(name), message, advice))

    def take_unresolved(self, name: str) -> None:
        field = self.component_type.field(name)
        if field is None:
            return
        if field.refused is not None:
            self._refuse(field, name, "true")
        elif field.ignored is None and self._claim(field, name):
            self._unknown.add(field.canonical_name)

    def _claim(self, field: Field, name: str) -> bool:
        """Return False, and record a problem, if the setting was given under another name too. `checks` reports a name
        that is written twice.
        """
        other = self._given.setdefault(field.canonical_name, name)
        if other.lower() == name.lower():
            return True
        message = f"says the same as {quoted(other)}"
        self.problems.append(error(metadata_path(name), message, f"take {quoted(name)} out"))
        return False

    def _refuse(self, field: Field, name: str, text: str) -> None:
        if field.refused is not None and (field.kind != "boolean" or parse_boolean(text) is not False):
            message, advice = field.refused
            self.problems.append(error(metadata_path(name), message, advice))

    def missing(self) -> Iterator[Problem]:
        for field in self.component_type.fields:
            if field.required and field.name not in self._given:
                message = f"{self.component_type.name} needs {quoted(field.name)}"
                yield error(metadata_path(field.name), message, f"add it under spec.metadata ({field.description})")

    def broken_rules(self) -> Iterator[Problem]:
        known = {name: value for name, value in self.settings.items() if name not in self._unknown}
        shared = every_state_store.RULES if self.component_type.is_state_store else ()
        for rule in (*self.component_type.rules, *shared):
            yield from rule(known, frozenset(self._given))


def _shown(field: Field, text: str) -> str:
    """Return the quoted value for a message, or `the value` if it is long or its field takes free text or addresses."""
    is_free = field.kind == "string" or field.sensitive or field.name.lower().endswith("port")
    return "the value" if is_free or len(text) > _MAX_SHOWN else quoted(text)


def convert(field: Field, text: str, *, is_secret: bool = False) -> Setting:
    """Return the typed value of one field's text. Raises InvalidValueError."""
    stripped = text.strip()
    shown = "the value" if is_secret else _shown(field, text)
    if field.kind == "integer":
        return int(_number(field, stripped, shown))
    if field.kind == "number":
        return float(_number(field, stripped, shown))
    if field.kind == "boolean":
        return _boolean(stripped, shown)
    if field.kind == "duration":
        return _duration(field, stripped, shown)
    if field.kind == "choice":
        return _choice(field, stripped, shown)
    if field.form is not None and re.fullmatch(field.form.pattern, text) is None:
        raise InvalidValueError(f"the value is not {field.form.noun}", field.form.advice)
    if field.reads is None:
        return text
    field.reads(stripped)
    return stripped  # the validated text, because rules and stores parse it again


def _number(field: Field, text: str, shown: str) -> float:
    whole = field.kind == "integer"
    if (INTEGER if whole else NUMBER).fullmatch(text) is None:
        raise InvalidValueError(f"{shown} is not a {'whole ' if whole else ''}number", f"write {_range(field)}")
    number = int(text) if whole else float(text)
    too_small = field.minimum is not None and number < field.minimum
    if too_small or (field.maximum is not None and number > field.maximum):
        raise InvalidValueError(f"{shown} is too {'small' if too_small else 'large'}", f"write {_range(field)}")
    return number


def _range(field: Field) -> str:
    noun = "a whole number" if field.kind == "integer" else "a number"
    unit = f" of {field.unit}" if field.unit else ""
    if field.minimum is not None and field.maximum is not None:
        return f"{noun}{unit} from {field.minimum} to {field.maximum}"
    if field.minimum is not None:
        return f"{noun}{unit}, {field.minimum} or more"
    return f"{noun}{unit}"


def _boolean(text: str, shown: str) -> bool:
    value = parse_boolean(text)
    if value is None:
        raise InvalidValueError(f"{shown} is neither true nor false", 'write "true" or "false"')
    return value


def _duration(field: Field, text: str, shown: str) -> float:
    try:
        seconds = parse_duration(text, field.bare_unit)
    except ValueError:
        bare = f"; a number alone is {_UNIT_NAMES[field.bare_unit]}" if field.bare_unit else ""
        advice = f"write a number with a unit, such as 500ms, 5s or 1h30m{bare}"
        raise InvalidValueError(f"{shown} is not a duration", advice) from None
    limit_is_off = field.must_be_positive and seconds <= 0
    return field.default if limit_is_off and isinstance(field.default, float) else seconds


def _choice(field: Field, text: str, shown: str) -> str:
    for choice in field.choices:
        if text.lower() == choice.lower():
            return choice
    match = closest(text, field.choices)
    advice = f"write {quoted(match)}" if match else "write one of them"
    raise InvalidValueError(f"{shown} is not a {field.name} ({listed(field.choices, 'or')})", advice)
