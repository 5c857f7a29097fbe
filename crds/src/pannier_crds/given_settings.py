"""A component's settings as a store reads them, with the catalogue's defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pannier_crds import catalogue
from pannier_crds.catalogue.model import Setting
from pannier_crds.secret import Secret, reveal


class GivenSettings(Mapping[str, Setting]):
    """Typed settings under the canonical names of the catalogue, with its defaults for those that are not given.

    A name that no version of the type has raises KeyError.
    """

    def __init__(self, store_type: str, settings: Mapping[str, Setting]) -> None:
        self._defaults = catalogue.defaults(store_type)
        self._settings = {**self._defaults, **{name: value for name, value in settings.items() if value is not None}}

    def __getitem__(self, name: str) -> Setting:
        return self._settings[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings)

    def __len__(self) -> int:
        return len(self._settings)

    def text(self, name: str) -> str:
        """Return a text, secret or not; empty where there is none. For parsers and libraries, never for messages."""
        return reveal(self[name])

    def secret(self, name: str) -> Secret:
        """Return a text that must not be shown; empty where there is none."""
        return Secret(self.text(name))

    def number(self, name: str) -> float:
        """Return a number; a duration is in seconds."""
        return _number(self[name])

    def whole_number(self, name: str) -> int:
        return int(self.number(name))

    def positive_number(self, name: str) -> float:
        """Return a number, or the default if it is 0 or less. Dapr then sets no limit, but a call could hang."""
        number = self.number(name)
        return number if number > 0 else _number(self._defaults[name])

    def is_on(self, name: str) -> bool:
        return self[name] is True


def _number(value: Setting) -> float:
    assert isinstance(value, int | float), "the catalogue reads numbers as numbers"
    return value
