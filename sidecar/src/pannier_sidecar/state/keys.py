"""How an app's key becomes the key that is stored, so that apps share a database without meeting each other.

    appid (default)     <app id>||<key>
    name                <store name>||<key>
    namespace           <namespace>.<app id>||<key>
    none                <key>
    any other text P    <P, lower-cased>||<key>
    actors              <app id>||<type>||<id>||<key>, whatever the prefix

With `keyScheme: dash`, the scheme of the oldest spec, `-` stands for `||`. Without an app id there is no prefix.
"""

from __future__ import annotations

from .errors import IllegalKey, MalformedRequest

SEPARATOR = "||"


class KeyScheme:
    """The key scheme of one store for one app."""

    __slots__ = ("_actor_prefix", "_separator", "_store", "prefix")

    def __init__(
        self,
        *,
        store: str,
        app_id: str,
        namespace: str | None = None,
        strategy: str = "appid",
        separator: str = SEPARATOR,
    ):
        """Prepare the prefix of `strategy`: `appid`, `name`, `namespace`, `none` (in any case) or a text of its own.

        Raises ValueError where that text contains `||`.
        """
        self._store = store
        self._separator = separator
        self._actor_prefix = app_id + separator if app_id else ""
        owner = _owner(strategy.lower(), store, app_id, namespace)
        self.prefix = owner + separator if owner else ""
        """What each stored key of the app begins with."""

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What the app's stored keys begin with, its actors' keys included; no prefix begins with another one."""
        if self._actor_prefix.startswith(self.prefix):
            return (self.prefix,)
        return (self.prefix, self._actor_prefix)

    @property
    def tells_actors_apart(self) -> bool:
        """Whether a stored key shows that it is an actor's: `-` may stand in any key, `||` in none."""
        return self._separator == SEPARATOR

    def stored(self, key: str) -> str:
        """Return the stored key of `key`. Raises MalformedRequest for an empty key, IllegalKey for one with `||`."""
        if SEPARATOR in key:
            raise IllegalKey(key, self._store)
        if not key:
            raise MalformedRequest('"key" is a required field; give each item a key that is not empty')
        return self.prefix + key

    def actor(self, actor_type: str, actor_id: str, key: str) -> str:
        """Return the stored key of an actor's `key`. Raises MalformedRequest and IllegalKey for any of the parts."""
        for name, part in (("actor type", actor_type), ("actor id", actor_id), ("key", key)):
            if SEPARATOR in part:
                raise IllegalKey(part, self._store)
            if not part:
                raise MalformedRequest(f"{name} is empty; it is a required part of the key of actor state")
        return self.actor_partition(actor_type, actor_id) + self._separator + key

    def actor_partition(self, actor_type: str, actor_id: str) -> str:
        """Return what all stored keys of one actor begin with; stores that have partitions keep them together by it."""
        return self._actor_prefix + actor_type + self._separator + actor_id

    def listed(self, stored: str) -> str | None:
        """Return the app's key of a stored key with its prefix; None where it is an actor's or another app's."""
        key = stored[len(self.prefix) :]
        return None if SEPARATOR in key or not key else key

    def actor_parts(self, stored: str) -> tuple[str, str, str] | None:
        """Return type, id and key of a stored key of the app's actors; None for any other one."""
        if not self.tells_actors_apart or not stored.startswith(self._actor_prefix):
            return None
        parts = stored[len(self._actor_prefix) :].split(self._separator)
        return (parts[0], parts[1], parts[2]) if len(parts) == 3 and all(parts) else None


def _owner(strategy: str, store: str, app_id: str, namespace: str | None) -> str:
    if strategy == "none":
        return ""
    if strategy == "name":
        return store
    if strategy == "appid":
        return app_id
    if strategy == "namespace":
        return f"{namespace}.{app_id}" if namespace and app_id else app_id
    if SEPARATOR in strategy:
        raise ValueError(
            f"keyPrefix {strategy!r} can't contain '||'; write appid, name, namespace, none or a text without it"
        )
    return strategy
