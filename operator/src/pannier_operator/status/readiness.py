"""What sidecars report on what was delivered to them (`GET /v1.0/healthz?verbose`), and what it means for an app.
Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from sys import intern
from typing import TYPE_CHECKING, Final

from pannier_crds.problems import quoted

if TYPE_CHECKING:
    from pannier_operator.delivery.app_secret import TooLarge
    from pannier_operator.status.reasons import NotDelivered, NotReady, NotUsedBySidecar

_RANKS: Final[tuple[NotReady | NotUsedBySidecar | NotDelivered, ...]] = (
    "RefusedBySidecar",
    "ServesEarlierVersion",
    "StoreUnavailable",
    "SidecarTooOld",
    "SidecarSilent",
    "NotLoadedYet",
    "Delivering",
    "NoRunningPod",
)
_MAX_REASON: Final = 400


@dataclass(frozen=True, slots=True)
class App:
    """An app that has pods in the namespace. `delivered` are the generations in its Secret (`generations_in`)."""

    delivered: Mapping[str, int] = field(default_factory=dict)
    too_large: Collection[TooLarge] = ()
    """What did not fit into its Secret."""
    refusal: str = ""
    """What refuses its Secret, and what to do; empty if nothing does."""


@dataclass(frozen=True, slots=True)
class StoreReport:
    """One store, Resiliency or Configuration in one sidecar: `state` is ready, waiting, refused or hidden."""

    state: str
    why: str = ""
    """Why it is not ready; of a ready one, why its latest version is not served."""
    generation: str = ""
    """Of a Configuration: the generation that is in effect."""


_store_report: Final = lru_cache(maxsize=1024)(StoreReport)
"""Shared, because thousands of pods report the same."""


@dataclass(frozen=True, slots=True)
class Report:
    """The report of one running pod's sidecar. Without an answer `stores` is None, and `trouble` says why."""

    pod: str
    stores: Mapping[str, StoreReport] | None = None
    trouble: str = ""
    version: str = ""
    """The version of the components that the sidecar has read last; empty if it reports none."""
    resiliencies: Mapping[str, StoreReport] | None = None
    """None: the sidecar is of a version that does not report on them."""
    configurations: Mapping[str, StoreReport] | None = None
    """None: the same, or the sidecar has no Configuration."""

    def has_read(self, version: str) -> bool:
        """Return whether the sidecar has read this version. One that reports no version is assumed to have."""
        return self.version in ("", version)

    @classmethod
    def read(cls, pod: str, answer: object) -> Report:
        """Return the report in a health answer.

        A sidecar that has not read the status key yet names no stores, which is the same as not having loaded them.
        """
        stores = answer.get("stores") if isinstance(answer, Mapping) else None
        if stores is None and isinstance(answer, Mapping) and "componentsVersion" in answer:
            stores = {}
        if not isinstance(answer, Mapping) or not isinstance(stores, Mapping):
            return cls(pod, trouble="its health answer names no stores")
        return cls(
            pod,
            _states_in(stores),
            # Older sidecars, which keep running when the operator is upgraded, report the whole file: since then it
            # has a second line, the status key.
            version=str(answer.get("componentsVersion") or "").partition("\n")[0],
            resiliencies=_states_in(named) if isinstance(named := answer.get("resiliencies"), Mapping) else None,
            configurations=_states_in(named) if isinstance(named := answer.get("configurations"), Mapping) else None,
        )


def _states_in(part: Mapping[object, object]) -> dict[str, StoreReport]:
    return {
        intern(str(name)): _store_report(
            str(each.get("state", "")), str(each.get("why") or ""), str(each.get("generation") or "")
        )
        for name, each in part.items()
        if isinstance(each, Mapping)
    }


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why an app does not have an object ready."""

    reason: NotReady | NotUsedBySidecar | NotDelivered
    message: str

    @property
    def rank(self) -> int:
        """The lower the rank, the more the trouble says about the object itself."""
        return _RANKS.index(self.reason)


def trouble_of(component: str, reports: Sequence[Report]) -> Trouble | None:
    """Return what keeps an app from having the component ready; None if all its running pods have it."""
    return _worst(reports, lambda report: _trouble_in(report, (report.stores or {}).get(component)))


def trouble_of_resiliency(name: str, reports: Sequence[Report]) -> Trouble | None:
    """Return what keeps an app from using the Resiliency; None if all its running pods do."""
    return _worst(reports, lambda report: _trouble_with_resiliency(name, report))


def trouble_of_configuration(name: str, generation: int, reports: Sequence[Report]) -> Trouble | None:
    """Return what keeps an app from using this generation of the Configuration; None if all the pods that name it do.
    The reports are those of these pods.
    """
    return _worst(reports, lambda report: _trouble_with_configuration(name, str(generation), report))


def _worst(reports: Sequence[Report], trouble_in: Callable[[Report], Trouble | None]) -> Trouble | None:
    if not reports:
        return Trouble("NoRunningPod", "none of its pods runs yet")
    troubles = [found for report in reports if (found := trouble_in(report)) is not None]
    return min(troubles, key=lambda trouble: trouble.rank, default=None)


def _trouble_with_resiliency(name: str, report: Report) -> Trouble | None:
    if report.stores is not None and report.version and report.resiliencies is None:
        why = "its sidecar is of a version that does not report on policies; restart the app"
        return Trouble("SidecarTooOld", f"pod {quoted(report.pod)}: {why}")
    return _trouble_in(report, (report.resiliencies or {}).get(name))


def _trouble_with_configuration(name: str, generation: str, report: Report) -> Trouble | None:
    if report.stores is not None and report.version and report.configurations is None:
        why = "its sidecar is of a version that does not report on its Configuration; restart the app"
        return Trouble("SidecarTooOld", f"pod {quoted(report.pod)}: {why}")
    found = (report.configurations or {}).get(name)
    if found is not None and found.generation == generation:
        return None
    return _trouble_in(report, found if found is not None and found.why else None)


def _trouble_in(report: Report, store: StoreReport | None) -> Trouble | None:
    pod = f"pod {quoted(report.pod)}"
    if report.stores is None:
        return Trouble("SidecarSilent", f"{pod}: {_short(report.trouble) or 'its sidecar does not answer'}")
    if store is None or store.state == "hidden":
        return Trouble("NotLoadedYet", f"{pod}: its sidecar has not read it yet")
    if store.state == "ready":
        return Trouble("ServesEarlierVersion", f"{pod}: {_short(store.why)}") if store.why else None
    reason: NotReady = "RefusedBySidecar" if store.state == "refused" else "StoreUnavailable"
    return Trouble(reason, f"{pod}: {_short(store.why) or store.state}")


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= _MAX_REASON else one_line[: _MAX_REASON - 3] + "..."
