"""Makes stored keys of an app's keys, so that apps can share a database but not state.

    appid (default)     <app id>||<key>
    name                <store name>||<key>
    namespace           <namespace>.<app id>||<key>
    none                <key>
    any other text P    <P, lower-cased>||<key>
    actors              <app id>||<type>||<id>||<key>, whatever the prefix

With `keyScheme: dash`, the scheme of the oldest spec, `-` stands for `||`. Without an app id there is no prefix.

A stored key can be taken apart in only one way. Whatever would allow two ways is refused: a part that holds the
separator, or ends with the `|` that the separator begins with (the last part may), and under dashes a key that looks
like an actor's. So two different keys never have the same stored key, and every accepted key is stored as in Dapr.
"""

from __future__ import annotations

from .errors import EmptyKeyError, IllegalKeyError, MalformedRequestError

SEPARATOR = "||"
DASH = "-"


class KeyScheme:
    """The key scheme of one store for one app."""

    __slots__ = ("_actor_prefix", "_is_strict", "_may_be_actors", "_separator", "_store", "prefix")

    def __init__(
        self,
        *,
        store: str,
        app_id: str,
        namespace: str | None = None,
        strategy: str = "appid",
        separator: str = SEPARATOR,
        holds_actors: bool = True,
        as_written: bool = False,
    ):
        """Prepare the prefix of `strategy`: `appid`, `name`, `namespace`, `none` (in any case) or any other text.

        `holds_actors`: the same store holds the state of actors. `as_written` also accepts names that are ambiguous,
        for reading what others have written. Raises ValueError for a prefix that could be read in two ways.
        """
        owner = _owner(strategy.lower(), store, app_id, namespace)
        if not as_written:
            _refuse_two_readings(owner, app_id, separator)
            if strategy.lower() == "namespace":
                _refuse_two_namespaces(app_id, namespace)
        self._store = store
        self._separator = separator
        self._is_strict = not as_written
        self._may_be_actors = separator == DASH and holds_actors and not as_written
        self._actor_prefix = app_id + separator if app_id else ""
        self.prefix = owner + separator if owner else ""
        """The prefix of each stored key of the app."""

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The prefixes of the app's stored keys, its actors' keys included; no prefix begins with another one."""
        if self._actor_prefix.startswith(self.prefix):
            return (self.prefix,)
        return (self.prefix, self._actor_prefix)

    @property
    def distinguishes_actors(self) -> bool:
        """Whether a stored key shows that it is an actor's. With dashes it does not, because any key may have a `-`."""
        return self._separator == SEPARATOR

    def stored(self, key: str) -> str:
        """Return the stored key of `key`.

        Raises MalformedRequestError for an empty key, IllegalKeyError for one with `||`.
        """
        if SEPARATOR in key:
            raise IllegalKeyError(key, self._store)
        if not key:
            raise EmptyKeyError
        if self._may_be_actors and _looks_like_an_actors(self.prefix + key):
            raise IllegalKeyError(
                key,
                self._store,
                "can't look like an actor's key, whose parts keyScheme dash joins with '-'",
                "write it with fewer '-', or keep the state of actors in a store of its own",
            )
        return self.prefix + key

    def actor(self, actor_type: str, actor_id: str, key: str) -> str:
        """Return the stored key of an actor's `key`.

        Raises MalformedRequestError and IllegalKeyError for any of the parts.
        """
        prefix = self.actor_prefix(actor_type, actor_id)
        self._refuse_part("key", key)
        return prefix + key

    def actor_prefix(self, actor_type: str, actor_id: str) -> str:
        """Return the prefix of the stored keys of one actor, which no other key of the app has.

        Raises MalformedRequestError and IllegalKeyError for either part.
        """
        for name, part in (("actor type", actor_type), ("actor id", actor_id)):
            self._refuse_part(name, part)
            if self._is_strict:
                self._refuse_two_actors(part)
        return self.actor_partition(actor_type, actor_id) + self._separator

    def actor_partition(self, actor_type: str, actor_id: str) -> str:
        """Return the prefix of all stored keys of one actor; stores with partitions use it to keep them together."""
        return self._actor_prefix + actor_type + self._separator + actor_id

    def beside(self, tag: str, name: str) -> str:
        """Return the stored key of something that Pannier keeps for itself: no key of an app or an actor is the same,
        and no list shows it. `name` has neither `-` nor `||`; `tag` may be empty.
        """
        return f"{self._own_prefix}{name}{tag}"

    def is_beside(self, stored: str) -> bool:
        """Return whether a stored key is one of those that `beside` makes."""
        return stored.startswith(self._own_prefix)

    @property
    def _own_prefix(self) -> str:
        return f"{self.prefix}{SEPARATOR}pannier{SEPARATOR}"

    def listed(self, stored: str) -> str | None:
        """Return the app's key of a stored key; None if it belongs to an actor or another app."""
        key = stored[len(self.prefix) :]
        if SEPARATOR in key or not key or (self._may_be_actors and _looks_like_an_actors(stored)):
            return None
        return key

    def actors_prefix(self, prefix: str) -> str:
        """Return a prefix of the stored keys of all actors whose type, id and key, joined by `||`, begin with
        `prefix`. Other stored keys may have it too.
        """
        return self._actor_prefix + prefix.replace(SEPARATOR, self._separator)

    def listed_of_actor(self, stored: str) -> tuple[str, str, str] | None:
        """Return type, id and key of a stored key of the app's actors; None for any other one.

        With dashes only the store that holds the state of actors knows, because it refuses other keys like that.
        """
        if not self._may_be_actors:
            return self.actor_parts(stored)
        if SEPARATOR in stored:
            return None
        parts = stored[len(self._actor_prefix) :].split(self._separator, 2)
        return (parts[0], parts[1], parts[2]) if len(parts) == 3 and all(parts) else None

    def actor_parts(self, stored: str) -> tuple[str, str, str] | None:
        """Return type, id and key of a stored key of the app's actors; None for any other one."""
        if not self.distinguishes_actors or not stored.startswith(self._actor_prefix):
            return None
        parts = stored[len(self._actor_prefix) :].split(self._separator)
        return (parts[0], parts[1], parts[2]) if len(parts) == 3 and all(parts) else None

    def _refuse_part(self, name: str, part: str) -> None:
        if SEPARATOR in part:
            raise IllegalKeyError(part, self._store)
        if not part:
            raise MalformedRequestError(f"{name} is empty", "it is a required part of the key of actor state")

    def _refuse_two_actors(self, part: str) -> None:
        """Raise IllegalKeyError for an actor's type or id that would merge with the separator after it."""
        if part.endswith("|"):
            why = "can't end with '|' in the type or id of an actor"
            raise IllegalKeyError(part, self._store, why, "another actor's state could have the same stored key")
        if self._separator in part:
            why = f"can't contain '{self._separator}' in the type or id of an actor with keyScheme dash"
            raise IllegalKeyError(part, self._store, why, "write it without, or use keyScheme pipes")


def refuse_tokens(app_id: str, namespace: str | None) -> None:
    """Raise ValueError for an app id or namespace whose prefix could also belong to another one."""
    for name in filter(None, (app_id, namespace)):
        if name != name.lower():
            raise ValueError(
                f"a keyPrefix is stored in lower case, so with a token in it '{name}' could be '{name.lower()}'; write "
                "keyPrefix: appid or namespace, which keep capitals"
            )
    if namespace:
        _refuse_two_namespaces(app_id, namespace)


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


def _refuse_two_readings(owner: str, app_id: str, separator: str) -> None:
    """Raise ValueError if a stored key would not show where the prefix ends."""
    for name in dict.fromkeys((owner, app_id)):
        if SEPARATOR in name or name.endswith("|"):
            raise ValueError(
                f"stored keys can't begin with '{name}': '||' follows, and another app's key could be the same; "
                "write an app id, name or keyPrefix that neither holds '||' nor ends with '|'"
            )
        if separator in name:
            raise ValueError(
                f"with keyScheme dash, stored keys can't begin with '{name}': it holds '-', so another app's key could "
                "be the same; remove keyScheme ('pannier copy' moves what is stored), or write an app id and "
                "a keyPrefix without '-'"
            )
    if separator == DASH and not app_id:
        raise ValueError("keyScheme dash needs an app id, because a key may hold '-' too; remove keyScheme")


def _refuse_two_namespaces(app_id: str, namespace: str | None) -> None:
    """Raise ValueError if the dot between namespace and app id could be part of the namespace."""
    if namespace and app_id and "." in namespace:
        raise ValueError(
            f"with keyPrefix namespace, the namespace '{namespace}' can't hold '.', which separates it from the app "
            f"id; set another NAMESPACE, or write keyPrefix: {namespace}.{app_id}"
        )
    if not namespace and "." in app_id:
        raise ValueError(
            f"with keyPrefix namespace and no namespace, app '{app_id}' could be another namespace's; set NAMESPACE, "
            "or write keyPrefix: appid, which makes the same keys"
        )


def _looks_like_an_actors(stored: str) -> bool:
    """Return whether a stored key has the four parts of an actor's, joined by dashes."""
    parts = stored.split(DASH, 3)
    return len(parts) == 4 and all(parts)
