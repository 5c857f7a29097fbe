"""Probes the sidecars of running pods for the state of what was delivered to them, over their public port.

A sidecar is probed when it starts and when its components change, and then at growing intervals until everything is
ready.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import aiohttp

from pannier_crds.addresses.hosts import bracketed
from pannier_crds.folder import STATUS_KEY_HEADER
from pannier_operator.delivery.app_secret import configuration_key, resiliency_key
from pannier_operator.injection.plan import PUBLIC_PORT
from pannier_operator.status.readiness import Report, trouble_of, trouble_of_configuration, trouble_of_resiliency

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from pannier_operator.objects.pod_kinds import CachedPod
    from pannier_operator.status.readiness import StoreReport

_MAX_CONCURRENT: Final = 16
_TIMEOUT: Final = aiohttp.ClientTimeout(total=3.0)
_SETTLING: Final = 2.0
"""Seconds from a change of an app's Secret until its sidecars have usually read it: the kubelet takes about one."""
_PAUSES: Final = (1.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Seconds between probes of a sidecar that does not have everything ready."""
_MAX_ANSWER: Final = 1024 * 1024
_MAX_VERSIONS: Final = 8
"""How many versions of a Secret are remembered: if it changes all the time, sidecars have read one of these."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a pod's sidecar should be serving."""

    pod: CachedPod
    version: str
    """The version that the app's Secret states."""
    delivered: Mapping[str, int]
    """What is in the Secret (`generations_in`)."""
    stores: Collection[str]
    """The delivered components that sidecars report on: the state stores."""
    status_key: str = ""
    """The key that the sidecar requires before it reports on its stores."""
    resiliencies: Collection[str] = ()
    """The delivered Resiliency objects."""
    configuration: str = ""
    """The delivered Configuration that the pod names; empty for none."""

    @property
    def is_worth_a_probe(self) -> bool:
        """Whether its sidecar has anything to report on."""
        return bool(self.stores or self.resiliencies or self.configuration)

    def is_settled(self, report: Report) -> bool:
        """Return whether the sidecar uses all of it."""
        others = [trouble_of_resiliency(name, [report]) for name in self.resiliencies]
        if self.configuration:
            generation = self.delivered.get(configuration_key(self.configuration), 0)
            others.append(trouble_of_configuration(self.configuration, generation, [report]))
        return all(trouble_of(store, [report]) is None for store in self.stores) and all(
            trouble is None or trouble.reason == "SidecarTooOld" for trouble in others
        )


@dataclass(frozen=True, slots=True)
class _Probed:
    """The latest probe of one pod's sidecar."""

    inputs: tuple[object, ...]
    """What `_probe_inputs` returned for this probe."""
    report: Report
    delivered: Mapping[str, int]
    """The generations of the components that the report is about."""
    versions: Mapping[str, Mapping[str, int]]
    """The latest versions of the app's Secret, and the generations of the components in each."""
    tries: int
    due: float
    """When to probe again (`time.monotonic`); 0: not before something changes."""


class SidecarProber:
    """Probes sidecars and keeps the latest report of each pod."""

    def __init__(self) -> None:
        self._probed: dict[str, _Probed] = {}
        self._gate = asyncio.Semaphore(_MAX_CONCURRENT)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def retain(self, uids: Collection[str]) -> None:
        """Forget the pods that are not among `uids`."""
        for uid in [uid for uid in self._probed if uid not in uids]:
            del self._probed[uid]

    def were_probed(self, pods: Iterable[Expected]) -> bool:
        """Return whether each pod that is worth a probe was probed at least once.

        Until then the previous leader's statuses are kept: a new pod, or a change of leader, changes no status by
        itself.
        """
        return all(each.pod["metadata"]["uid"] in self._probed for each in pods if each.is_worth_a_probe)

    def report_on(self, expected: Expected) -> Report:
        """Return a pod's latest report, without what has changed since."""
        name = expected.pod["metadata"]["name"]
        probed = self._probed.get(expected.pod["metadata"]["uid"])
        if probed is None:
            return Report(name, {})
        if probed.report.stores is None:
            return probed.report

        def current(part: Mapping[str, StoreReport], key: Callable[[str], str]) -> dict[str, StoreReport]:
            same = (name for name in part if probed.delivered.get(key(name)) == expected.delivered.get(key(name)))
            return {name: part[name] for name in same}

        report = replace(probed.report, stores=current(probed.report.stores, str))
        if report.resiliencies:
            report = replace(report, resiliencies=current(report.resiliencies, resiliency_key))
        return report

    def due_at(self, expected: Expected) -> float | None:
        """Return when to probe a pod (`time.monotonic`); None if there is nothing to probe."""
        probed = self._probed.get(expected.pod["metadata"]["uid"])
        if probed is None:
            return 0.0 if expected.is_worth_a_probe else None
        if probed.inputs == _probe_inputs(expected):
            return probed.due or None
        if probed.inputs[0] == expected.version:
            return 0.0
        due = time.monotonic() + _SETTLING
        if probed.due:  # otherwise a Secret that changes all the time would put the probe off for ever
            due = min(due, probed.due)
        self._probed[expected.pod["metadata"]["uid"]] = _Probed(
            _probe_inputs(expected), probed.report, probed.delivered, _versions(probed, expected), 0, due
        )
        return due

    def unread_probes(self, pod: CachedPod, version: str) -> int:
        """Return how many probes have found that a pod had not read this version of its app's Secret."""
        probed = self._probed.get(pod["metadata"]["uid"])
        if probed is None or probed.inputs[0] != version or probed.report.has_read(version):
            return 0
        return probed.tries

    async def probe(self, pods: Sequence[Expected]) -> bool:
        """Probe these pods; return whether any report differs from the one before."""
        return any(await asyncio.gather(*(self._probe(each) for each in pods)))

    async def _probe(self, expected: Expected) -> bool:
        async with self._gate:
            report = await self._fetch_report(expected.pod, expected.status_key)
        uid = expected.pod["metadata"]["uid"]
        before = self._probed.get(uid)
        tries = before.tries if before is not None and before.inputs == _probe_inputs(expected) else 0
        has_read = report.has_read(expected.version)
        versions = _versions(before, expected)
        version = expected.version if has_read else report.version
        delivered = versions.get(version, before.delivered if before is not None else {})
        due = (
            0.0
            if has_read and expected.is_settled(report)
            else time.monotonic() + _PAUSES[min(tries, len(_PAUSES) - 1)]
        )
        self._probed[uid] = _Probed(_probe_inputs(expected), report, delivered, versions, tries + 1, due)
        return before is None or before.report != report or before.delivered != delivered

    async def _fetch_report(self, pod: CachedPod, status_key: str) -> Report:
        name, address = pod["metadata"]["name"], pod["status"]["podIP"]
        assert address, "a running pod has an address"
        if self._session is None:
            # A pod is probed seldom. A kept connection takes 5 KB for each of thousands, until it is too old to use.
            connector = aiohttp.TCPConnector(force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, trust_env=False)
        url = f"http://{bracketed(address)}:{PUBLIC_PORT}/v1.0/healthz?verbose"
        try:
            async with self._session.get(url, headers={STATUS_KEY_HEADER: status_key}) as answer:
                return Report.read(name, _json(await answer.content.read(_MAX_ANSWER)))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Report(name, trouble=f"its sidecar does not answer on port {PUBLIC_PORT}: {_why(error)}")


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _versions(before: _Probed | None, expected: Expected) -> dict[str, Mapping[str, int]]:
    """Return the latest versions of a Secret with the one that is expected now."""
    known = {} if before is None else dict(before.versions)
    known.pop(expected.version, None)
    return dict([*known.items(), (expected.version, expected.delivered)][-_MAX_VERSIONS:])


def _probe_inputs(expected: Expected) -> tuple[object, ...]:
    """Return what a report depends on: when any of it changes, the pod is probed again."""
    pod = expected.pod
    return expected.version, pod["status"]["podIP"], pod["ready"], tuple(sorted(expected.delivered.items()))


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in 3 s"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "it refuses connections"
    return (
        "it closed the connection"
        if isinstance(error, aiohttp.ServerDisconnectedError)
        else f"it fails ({type(error).__name__})"
    )
