"""What sidecars report on their stores (`GET /v1.0/healthz?verbose`), and what it means for an app. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from sys import intern
from typing import TYPE_CHECKING, Final

from pannier_crds.problems import quoted

if TYPE_CHECKING:
    from pannier_operator.delivery.app_secret import TooLarge
    from pannier_operator.status.reasons import NotDelivered, NotReady

_RANKS: Final[tuple[NotReady | NotDelivered, ...]] = (
    "RefusedBySidecar",
    "ServesEarlierVersion",
    "StoreUnavailable",
    "SidecarSilent",
    "NotLoadedYet",
    "Delivering",
    "NoRunningPod",
)
_MAX_REASON: Final = 400


@dataclass(frozen=True, slots=True)
class App:
    """An app that has pods in the namespace. `delivered` are the generations in its Secret."""

    delivered: Mapping[str, int] = field(default_factory=dict)
    too_large: Collection[TooLarge] = ()
    """The components that did not fit into its Secret."""
    refusal: str = ""
    """What refuses its Secret, and what to do; empty if nothing does."""


@dataclass(frozen=True, slots=True)
class StoreReport:
    """One store in one sidecar: `state` is ready, waiting, refused or hidden."""

    state: str
    why: str = ""
    """Why it is not ready; of a ready one, why its latest version is not served."""


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
            {
                intern(str(name)): _store_report(str(each.get("state", "")), str(each.get("why") or ""))
                for name, each in stores.items()
                if isinstance(each, Mapping)
            },
            # Older sidecars, which keep running when the operator is upgraded, report the whole file: since then it
            # has a second line, the status key.
            version=str(answer.get("componentsVersion") or "").partition("\n")[0],
        )


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why an app does not have a component ready."""

    reason: NotReady | NotDelivered
    message: str

    @property
    def rank(self) -> int:
        """The lower the rank, the more the trouble says about the component itself."""
        return _RANKS.index(self.reason)


def trouble_of(component: str, reports: Sequence[Report]) -> Trouble | None:
    """Return what keeps an app from having the component ready; None if all its running pods have it."""
    if not reports:
        return Trouble("NoRunningPod", "none of its pods runs yet")
    troubles = [found for report in reports if (found := _trouble_in(component, report)) is not None]
    return min(troubles, key=lambda trouble: trouble.rank, default=None)


def _trouble_in(component: str, report: Report) -> Trouble | None:
    pod = f"pod {quoted(report.pod)}"
    if report.stores is None:
        return Trouble("SidecarSilent", f"{pod}: {_short(report.trouble) or 'its sidecar does not answer'}")
    store = report.stores.get(component)
    if store is None or store.state == "hidden":
        return Trouble("NotLoadedYet", f"{pod}: its sidecar has not read it yet")
    if store.state == "ready":
        return Trouble("ServesEarlierVersion", f"{pod}: {_short(store.why)}") if store.why else None
    reason: NotReady = "RefusedBySidecar" if store.state == "refused" else "StoreUnavailable"
    return Trouble(reason, f"{pod}: {_short(store.why) or store.state}")


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= _MAX_REASON else one_line[: _MAX_REASON - 3] + "..."
