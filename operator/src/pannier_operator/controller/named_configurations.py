"""The Configurations that pods name: what each app gets of them, and Events about those that are missing or wrong.

A pod without its Configuration would allow every call. So a new pod waits for it, and if the object is deleted or
becomes wrong, the app's pods, later ones too, keep what is in their Secret.
"""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pannier_operator.cluster.cached_objects import is_own_secret
from pannier_operator.delivery.app_secret import (
    app_of_secret_name,
    configuration_file,
    configuration_key,
    configurations_in,
    generations_in,
    secret_name,
)
from pannier_operator.delivery.configurations import file_from, file_of
from pannier_operator.objects.app_ids import app_id_of
from pannier_operator.objects.namespace_configurations import CONFIG_ANNOTATION, judged, missing
from pannier_operator.status.events import event_of_unconfigured_pod

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pannier_operator.cluster.api import ClusterApi
    from pannier_operator.cluster.cache import ClusterCache
    from pannier_operator.delivery.configurations import ConfigurationFile
    from pannier_operator.metrics import Metrics
    from pannier_operator.objects.namespace_configurations import ConfigurationMember
    from pannier_operator.objects.pod_kinds import CachedPod

Files = dict[str, dict[str, "ConfigurationFile"]]
"""For each app, the files of the Configurations that its pods name, by name."""


class NamedConfigurations:
    """Finds what pods name, one namespace at a time."""

    def __init__(self, api: ClusterApi, cache: ClusterCache, metrics: Metrics):
        self._api = api
        self._cache = cache
        self._metrics = metrics
        self._kept: dict[tuple[str, str, str], tuple[str, ConfigurationFile]] = {}
        """What apps keep of objects that are gone or wrong, with its digest, by namespace, app and name."""
        self._judged: dict[str, dict[str, ConfigurationMember]] = {}
        """The Configurations of each namespace, as they were judged last."""
        self._reported: dict[str, dict[str, str]] = {}
        """For each namespace and pod uid, what its latest Event said."""

    def forget(self) -> None:
        """Forget what only the leader knows."""
        self._kept.clear()
        self._judged.clear()
        self._reported.clear()

    def count(self) -> None:
        """Set the gauge of pods whose Configuration is missing or wrong."""
        self._metrics.set("pods_without_configuration", sum(map(len, self._reported.values())))

    def known_in(self, namespace: str) -> Mapping[str, ConfigurationMember]:
        """Return the Configurations of a namespace by name, with their verdicts."""
        found = judged(self._cache.configurations(namespace), self._judged.pop(namespace, {}))
        if found:
            self._judged[namespace] = found
        return found

    async def of(self, namespace: str, pods: Sequence[CachedPod], known: Mapping[str, ConfigurationMember]) -> Files:
        """Return what each app gets. `pods` are those of the namespace that have not ended, and `known` are its
        Configurations. Raises ApiError.

        An app without pods gets what its Secret holds, because its next pod, such as a CronJob's, starts with that.
        """
        named: dict[str, set[str]] = {
            app_of_secret_name(secret["metadata"]["name"]): configurations_in(secret)
            for secret in self._cache.own_secrets(namespace)
        }
        named |= {app_id_of(pod): set() for pod in pods}
        for pod in pods:
            if pod["configuration"]:
                named[app_id_of(pod)].add(pod["configuration"])
        current = {
            name: file_of(member, accepted)
            for name, member in known.items()
            if (accepted := member.accepted) is not None and any(name in names for names in named.values())
        }
        files: Files = {}
        for app, names in named.items():
            lost = {name: await self._kept_by(namespace, app, name) for name in sorted(names - current.keys())}
            kept = {name: file for name, file in lost.items() if file is not None}
            files[app] = {name: current[name] for name in sorted(names & current.keys())} | kept
        self._remember_only(namespace, files, known)
        return files

    async def _kept_by(self, namespace: str, app: str, name: str) -> ConfigurationFile | None:
        """Return what an app's Secret holds of a Configuration; None if it holds nothing."""
        secret = self._cache.secret(namespace, secret_name(app))
        if secret is None or not is_own_secret(secret):
            return None
        digest = secret["data"].get(configuration_file(name))
        if digest is None:
            return None
        known = self._kept.get((namespace, app, name))
        if known is not None and known[0] == digest:
            return known[1]
        found = await self._api.secret(namespace, secret_name(app))
        content = ((found or {}).get("data") or {}).get(configuration_file(name))
        if content is None:
            return None
        file = file_from(b64decode(content), generations_in(secret).get(configuration_key(name), 0))
        self._kept[namespace, app, name] = digest, file
        return file

    def _remember_only(self, namespace: str, files: Files, known: Mapping[str, ConfigurationMember]) -> None:
        for key in [key for key in self._kept if key[0] == namespace]:
            _, app, name = key
            member = known.get(name)
            if name not in files.get(app, ()) or (member is not None and member.accepted is not None):
                del self._kept[key]

    async def report(
        self, namespace: str, pods: Sequence[CachedPod], files: Files, known: Mapping[str, ConfigurationMember]
    ) -> None:
        """Create an Event on each pod whose Configuration is missing or wrong, when that begins. Raises ApiError."""
        before, now = self._reported.pop(namespace, {}), {}
        for pod in pods:
            name, uid = pod["configuration"], pod["metadata"]["uid"]
            member = known.get(name)
            if not name or (member is not None and member.accepted is not None):
                continue
            message = _why(name, member, known, is_kept=name in files.get(app_id_of(pod), ()))
            now[uid] = message
            if before.get(uid) == message:
                continue
            if member is None and await self._api.configuration(namespace, name) is not None:
                del now[uid]  # a watch will report it in a moment
                continue
            await self._api.create_event(event_of_unconfigured_pod(pod, message, datetime.now(UTC)))
        if now:
            self._reported[namespace] = now


def _why(
    name: str, member: ConfigurationMember | None, known: Mapping[str, ConfigurationMember], *, is_kept: bool
) -> str:
    if member is None:
        what = missing(name, known)
    else:
        what = f"annotation {CONFIG_ANNOTATION}: {name} is wrong: {'; '.join(str(each) for each in member.errors)}"
    return f"{what}. {_KEPT if is_kept else _WAITING}"


_KEPT = "The pod keeps the last version, and so do the app's next pods"
_WAITING = "The pod waits for it, because without it every call would be allowed"
