"""What sidecars say of their stores (`GET /v1.0/healthz?verbose`), and what that means for an app. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from sys import intern
from typing import TYPE_CHECKING, Final

from pannier_crds.problems import quoted

if TYPE_CHECKING:
    from pannier_operator.delivery.app_secret import TooLarge

_RANKS: Final = (
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
    """An app that has pods in the namespace: what its Secret holds, as `app_secret.generations_in` reads it."""

    delivered: Mapping[str, int] = field(default_factory=dict)
    too_large: Collection[TooLarge] = ()
    """What did not fit into its Secret."""
    refusal: str = ""
    """Why its Secret cannot be made what it should be, and what to do; empty where nothing keeps it."""


@dataclass(frozen=True, slots=True)
class StoreReport:
    """One store in one sidecar: `state` is ready, waiting, refused or hidden."""

    state: str
    why: str = ""
    """Why it is not ready; of a ready one, why its latest version is not served."""


_store_report: Final = lru_cache(maxsize=1024)(StoreReport)
"""Thousands of pods say the same."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one running pod's sidecar answers. `stores` is None when there was no answer; `trouble` says why."""

    pod: str
    stores: Mapping[str, StoreReport] | None = None
    trouble: str = ""
    version: str = ""
    """Of the components that the sidecar has read last; empty when it does not say."""

    def has_read(self, version: str) -> bool:
        """Whether nothing speaks against it: a sidecar that names no version may have read any."""
        return self.version in ("", version)

    @classmethod
    def read(cls, pod: str, answer: object) -> Report:
        """The report in the JSON of a health answer.

        A sidecar that has not read the key to it yet names no stores: as good as not having read them.
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
            # Sidecars from before the file had a second line tell all of it: they run on when the operator is upgraded.
            version=str(answer.get("componentsVersion") or "").partition("\n")[0],
        )


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why an app does not have a component ready."""

    reason: str
    message: str

    @property
    def rank(self) -> int:
        """The lower, the more it says about the component itself."""
        return _RANKS.index(self.reason)


def trouble_of(component: str, reports: Sequence[Report]) -> Trouble | None:
    """What keeps an app from having the component ready; None when all its running pods have it."""
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
    reason = "RefusedBySidecar" if store.state == "refused" else "StoreUnavailable"
    return Trouble(reason, f"{pod}: {_short(store.why) or store.state}")


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= _MAX_REASON else one_line[: _MAX_REASON - 3] + "..."
