"""The objects of one kind by namespace and name, as a watch and lists have reported them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pannier_operator.objects.resource_versions import version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pannier_operator.objects.kinds import Object, ObjectMeta

K = TypeVar("K", bound="Object")

_GONE_KEPT: Final = 10_000


class Indexer(Generic[K]):
    """Keeps objects of one kind, trimmed."""

    def __init__(self, trim: Callable[[Any], K | None], fingerprint: Callable[[K], object]):
        """`trim` returns what to keep of an object, None for nothing; `fingerprint` the part that matters."""
        self._trim = trim
        self._fingerprint = fingerprint
        self._kept: dict[str, dict[str, K]] = {}
        self._watched: dict[str, int] = {}
        """The uid and latest version of each object that a watch has reported, kept or not."""
        self._gone: dict[str, None] = {}
        """The uids of the objects that a watch has last reported as deleted, oldest first."""
        self.highest = 0
        """The latest version that was reported: a list that begins now cannot be of an earlier one."""

    def observe(self, is_gone: bool, manifest: Object) -> bool:
        """Take an object from a watch event; return whether the namespace should be reconciled."""
        metadata = manifest["metadata"]
        self.highest = max(self.highest, version_of(manifest))
        if is_gone:
            self._watched.pop(metadata["uid"], None)
            self._note_deletion(metadata["uid"])
            return self._forget(metadata)
        self._watched[metadata["uid"]] = version_of(manifest)
        return self.put(manifest)

    def _note_deletion(self, uid: str) -> None:
        self._gone[uid] = None
        if len(self._gone) > _GONE_KEPT:
            del self._gone[next(iter(self._gone))]

    def put(self, manifest: Object) -> bool:
        """Keep an object, unless a newer version of it is kept; return whether anything that matters has changed.

        What a watch has reported as deleted is not kept again: an answer to a write, or a page of a list, may be older.
        """
        metadata = manifest["metadata"]
        if metadata["uid"] in self._gone:
            return False
        before = self.find(metadata["namespace"], metadata["name"])
        if before is not None and version_of(before) >= version_of(manifest):
            return False
        after = self._trim(manifest)
        if after is None:
            return self._forget(metadata)
        self._kept.setdefault(metadata["namespace"], {})[metadata["name"]] = after
        return before is None or self._fingerprint(before) != self._fingerprint(after)

    def _forget(self, metadata: ObjectMeta) -> bool:
        kept = self._kept.get(metadata["namespace"], {})
        before = kept.get(metadata["name"])
        if before is None or before["metadata"]["uid"] != metadata["uid"]:
            return False
        del kept[metadata["name"]]
        if not kept:
            del self._kept[metadata["namespace"]]
        return True

    def kept_version(self, manifest: Object) -> int:
        """Return the version in which an object is kept; 0 if it is not."""
        before = self.find(manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        return 0 if before is None else version_of(before)

    def repair(self, listed: Mapping[str, int], version: int) -> list[str]:
        """Remove what a full list does not contain; return the uids of what watches have missed.

        An object of the list is missed if no watch has reported it in that version or a later one.

        `listed` has the uids and versions of the listed objects, which have been put into the cache; `version` is that
        of the list.
        """
        self.highest = max(self.highest, version)
        for kept in list(self._kept.values()):
            for each in list(kept.values()):
                if each["metadata"]["uid"] not in listed and version_of(each) <= version:
                    self._forget(each["metadata"])
        return [uid for uid, its_version in listed.items() if not self.has_reported(uid, its_version)]

    def has_reported(self, uid: str, version: int) -> bool:
        """Return whether a watch has reported this version of an object, a later one, or its deletion."""
        return self._watched.get(uid, 0) >= version or uid in self._gone

    def namespaces(self) -> Iterable[str]:
        return self._kept.keys()

    def find(self, namespace: str, name: str) -> K | None:
        return self._kept.get(namespace, {}).get(name)

    def items(self, namespace: str) -> list[K]:
        return list(self._kept.get(namespace, {}).values())
