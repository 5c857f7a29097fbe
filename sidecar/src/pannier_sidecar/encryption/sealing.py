"""Seals the values of one component, and opens them again in whichever format they are. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from pannier_sidecar.state.errors import UndecryptableError
from pannier_sidecar.state.wording import shortened

from . import dapr_format, own_format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .keys import Key

Format = Literal["pannier", "dapr"]

_MOVED = "it was changed in the database, or moved here from another key, or from a state store of another name"
_CHANGED = "it was changed in the database, or encrypted with another key of the same name"
_RESTORE = "restore it from a backup, or write it again"


class Opened(NamedTuple):
    """A value that was opened."""

    value: bytes
    is_current: bool
    """Whether the primary key seals it, in the format that is written now."""


class Sealing:
    """The keys of a component and the format in which it writes."""

    def __init__(
        self,
        store: str,
        keys: Sequence[Key],
        written_as: Format = "pannier",
        *,
        further: Sequence[Key] = (),
        reads_unencrypted: bool = False,
        bares_texts: bool = False,
    ):
        """Seal with the first of `keys`, and open with each of them. `store` is the component's name.

        `further` are any number of keys that only open: values in Pannier's format by the key's id, Dapr's by its name.
        `reads_unencrypted`: a value in neither format is returned as it is, because it may be older than the keys.
        `bares_texts`: a JSON string that came over HTTP loses its quotes in Pannier's format too.
        """
        self._store = store
        self._keys = tuple(keys)
        self._by_id = {key.id: key for key in reversed((*keys, *further))}
        self._by_name: dict[str, list[Key]] = {}
        for key in (*keys, *(key for key in further if key.dapr_name)):
            self._by_name.setdefault(key.dapr_name, []).append(key)
        self._writes_as_dapr = written_as == "dapr"
        self._bares_texts = bares_texts or self._writes_as_dapr
        self._reads_unencrypted = reads_unencrypted
        self._header = own_format.header_of(self._keys[0])

    def seal(self, stored_key: str, value: bytes, *, is_json: bool = False) -> bytes:
        """Return what is to be stored under a key. `is_json`: the value is JSON that came over HTTP."""
        key = self.primary
        if is_json and self._bares_texts:
            value = dapr_format.bare(value)
        if self._writes_as_dapr:
            return dapr_format.seal(key, value)
        return own_format.seal(self._header, key, own_format.place_of(self._store, stored_key), value)

    @property
    def primary(self) -> Key:
        """The key that seals."""
        return self._keys[0]

    def open(self, stored_key: str, data: bytes) -> bytes:
        """Return the value of what was stored under a key. Raises UndecryptableError."""
        return self.opened(stored_key, data).value

    def opened(self, stored_key: str, data: bytes) -> Opened:
        """Return the value of what was stored under a key, and whether it is sealed as it would be now. Raises
        UndecryptableError.
        """
        if data.startswith(own_format.MARK):
            return self._open_own(stored_key, data)
        sealed = dapr_format.parse(data)
        if sealed is not None and not (sealed.is_too_short and self._reads_unencrypted):
            return self._open_daprs(sealed)
        if self._reads_unencrypted:
            return Opened(data, is_current=False)
        raise UndecryptableError(
            "it was stored without encryption; to read such values until they are written again, set "
            'encryptionReadsUnencrypted: "true" in the component'
        )

    def _open_own(self, stored_key: str, data: bytes) -> Opened:
        sealed = own_format.parse(data)
        if sealed is None:
            raise UndecryptableError(f"it is cut off; {_RESTORE}")
        key = self._by_id.get(sealed.key_id)
        if key is None:
            raise _unknown(f"{_named(sealed.key_name)} (id {sealed.key_id.hex()})")
        value = own_format.unseal(sealed, key, own_format.place_of(self._store, stored_key))
        if value is None:
            raise UndecryptableError(f"{_MOVED}; {_RESTORE}")
        return Opened(value, is_current=key is self.primary and not self._writes_as_dapr)

    def _open_daprs(self, sealed: dapr_format.Sealed) -> Opened:
        """Open a value of Dapr's. Its key's name is only a hint, because the secret may have another name now: a key
        that opens the value is the right one. Of `further`, which may be many, only keys of that name are tried.
        """
        if sealed.is_too_short:
            raise UndecryptableError(f"it is cut off, or was stored without encryption; {_RESTORE}")
        named = self._by_name.get(sealed.key_name, [])
        for key in dict.fromkeys((*named, *self._keys)):
            value = dapr_format.unseal(sealed, key)
            if value is not None:
                is_named = key is self.primary and key.dapr_name == sealed.key_name
                return Opened(value, is_current=is_named and self._writes_as_dapr)
        if named:
            raise UndecryptableError(f"{_CHANGED}; {_RESTORE}")
        raise _unknown(_named(sealed.key_name), ", under that name" if sealed.key_name else "")


def _named(name: str) -> str:
    shown = "".join(character if character.isprintable() else " " for character in name)
    return f"the key {shortened(shown, 80)!r}" if name else "a key without a name"


def _unknown(key: str, how: str = "") -> UndecryptableError:
    return UndecryptableError(
        f"it is encrypted with {key}, which the component does not have; add it to decryptionKeys{how}"
    )
