"""`spec.secrets` of a Configuration: which secrets an app may read through the Secrets API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pannier_crds.problems import quoted
from pannier_crds.secret_names import is_same, may_be_same

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_crds.structure import Part

_SCOPE_KEYS: Final = ("storeName", "defaultAccess", "allowedSecrets", "deniedSecrets")


@dataclass(frozen=True, slots=True)
class SecretScope:
    """What an app may read from one secret store."""

    allowed: frozenset[str] = frozenset()
    """If it is not empty, it decides alone, as in Dapr."""
    denied: frozenset[str] = frozenset()
    allows_others: bool = True

    def permits(self, name: str, store_type: str) -> bool:
        """Return whether the app may read the secret of this name, whichever of its names the lists have."""
        if self.allowed:
            return any(is_same(store_type, each, name) for each in self.allowed)
        return self.allows_others and not any(may_be_same(store_type, each, name) for each in self.denied)


def read_secret_scopes(part: Part) -> Mapping[str, SecretScope]:
    """Read `spec.secrets`; the scopes by the names of their stores."""
    part.refuse_misspelt(("scopes",))
    scopes: dict[str, SecretScope] = {}
    for entry in part.parts("scopes"):
        entry.refuse_misspelt(_SCOPE_KEYS)
        store = entry.required_text("storeName", "kubernetes")
        if store in scopes:
            entry.refuse("storeName", f"{quoted(store)} has an entry already", "write one entry for each store")
        access = (entry.text("defaultAccess") or "allow").strip().lower()
        if access not in ("allow", "deny"):
            entry.refuse("defaultAccess", f"is {quoted(access)}", "write allow or deny")
        scopes[store] = SecretScope(
            frozenset(entry.texts("allowedSecrets", "redis-password")),
            frozenset(entry.texts("deniedSecrets", "redis-password")),
            access == "allow",
        )
    return scopes
