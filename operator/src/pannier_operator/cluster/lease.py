"""Which replica acts: the one that holds a Lease of coordination.k8s.io. The others watch, and answer webhooks too.

A holder that ends in order gives the Lease back. One whose pod has gone loses it within seconds, one whose node has
gone when the Lease runs out. Should two act for a moment, they do the same: what is done follows from what exists.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pannier_operator.cluster.errors import ApiError, ApiRefusedError
from pannier_operator.cluster.waiting import wait_for_event
from pannier_operator.delivery.app_secret import MANAGED_BY_LABEL, MANAGER, OUTLIVES_RELEASE_LABEL
from pannier_operator.objects.resource_versions import ResourceVersionRewoundError, version_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pannier_operator.cluster.api import ClusterApi
    from pannier_operator.settings import LeaderElectionSettings

logger = logging.getLogger(__name__)

_TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"
_RETRY: Final = 1.0
"""Seconds until the next attempt after a failed call, and between glances."""
_FAST_POLLS: Final = 40
"""How often to look at a holder that is ending: it gives the Lease back last, or its pod goes."""


class LeaderElection:
    """Takes part for one replica. `leads` is read; `changed` is called whenever it changes."""

    def __init__(
        self,
        api: ClusterApi,
        settings: LeaderElectionSettings,
        namespace: str,
        identity: str,
        changed: Callable[[bool], None],
        server_is_back: Callable[[], None] = lambda: None,
    ):
        """`server_is_back` is called when the API server answers after it did not: every replica asks often."""
        self._api = api
        self._settings = settings
        self._namespace = namespace
        self._identity = identity
        self._changed = changed
        self._server_is_back = server_is_back
        self._was_away = False
        self._lease: dict[str, Any] | None = None
        self._last_observed = (0, 0.0)
        self._notified = asyncio.Event()
        self._fast_polls = 0
        self._is_released = False
        self._highest = 0
        self.leads = False

    @property
    def holder(self) -> str:
        """The pod that acts, as far as this replica knows; empty for none."""
        return str(self._lease["spec"].get("holderIdentity") or "") if self._lease is not None else ""

    def notify(self) -> None:
        """The holder's pod ends or has gone: look at once, and often for a while."""
        self._fast_polls = _FAST_POLLS
        self._notified.set()

    async def run(self) -> None:
        """Take part until cancelled.

        Raises ResourceVersionRewoundError where the Lease is of an earlier time than before.
        """
        while not self._is_released:
            self._notified.clear()
            pause = await self._step()
            await wait_for_event(self._notified, pause)

    async def release(self) -> None:
        """Give the Lease back, so that another replica need not wait for its end."""
        self._is_released = True
        if not self.leads or self._lease is None:
            return
        self._set_leading(False, "it gives the Lease back")
        given_back = {**self._lease, "spec": {**self._lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}}
        try:
            await self._api.write("Lease", given_back)
        except ApiError as error:
            logger.warning("The Lease could not be given back (%s); another replica takes it when it runs out", error)

    async def _step(self) -> float:
        """Take or renew the Lease if that is possible; seconds until the next turn."""
        try:
            if self._lease is None or not self.leads:
                self._lease = self._observed(await self._api.lease(self._namespace, self._settings.lease))
            if self._lease is not None and not self._is_mine() and not await self._is_available(self._lease):
                self._set_leading(False, f"{self.holder} holds the Lease")
                self._note_answer()
                return self._pause_of_follower()
            written = self._observed(await self._api.write("Lease", self._claim()))
        except ApiError as error:
            self._was_away = self._was_away or not isinstance(error, ApiRefusedError)
            why = f"the Lease {self._settings.lease} could not be renewed ({error})"
            logger.warning("This is tried again: %s", why)
            if self.leads and self._is_lost():
                self._set_leading(False, f"{why}, and its {self._settings.lease_duration:g} s are over")
            return _RETRY
        self._lease = written
        self._fast_polls = 0
        self._note_answer()
        why = "it holds the Lease" if written is not None else "somebody else has written the Lease meanwhile"
        self._set_leading(written is not None and not self._is_released, why)
        return self._settings.renew_interval if self.leads else _RETRY

    def _note_answer(self) -> None:
        if self._was_away:
            self._was_away = False
            self._server_is_back()

    def _observed(self, lease: dict[str, Any] | None) -> dict[str, Any] | None:
        """The Lease, of a version that cannot be earlier than any before."""
        version = 0 if lease is None else version_of(lease)
        if lease is not None and version < self._highest:
            raise ResourceVersionRewoundError(f"the Lease has version {version}, after version {self._highest}")
        self._highest = max(self._highest, version)
        return lease

    def _pause_of_follower(self) -> float:
        if self._fast_polls:
            self._fast_polls -= 1
            return _RETRY
        return self._settings.renew_interval

    def _is_mine(self) -> bool:
        return self._lease is not None and self._lease["spec"].get("holderIdentity") == self._identity

    async def _is_available(self, lease: dict[str, Any]) -> bool:
        spec = lease["spec"]
        holder = spec.get("holderIdentity")
        if not holder or self._has_expired(lease):
            return True
        return self._fast_polls > 0 and await self._api.pod(self._namespace, holder) is None

    def _has_expired(self, lease: dict[str, Any]) -> bool:
        """By this machine's own clock, from when this version of the Lease was first seen: clocks may differ."""
        version, now = int(lease["metadata"]["resourceVersion"]), asyncio.get_running_loop().time()
        if self._last_observed[0] != version:
            self._last_observed = (version, now)
        return bool(
            now - self._last_observed[1] > lease["spec"].get("leaseDurationSeconds", self._settings.lease_duration)
        )

    def _is_lost(self) -> bool:
        """Whether others may have taken what could not be renewed."""
        assert self._lease is not None
        renewed = datetime.strptime(self._lease["spec"]["renewTime"], _TIME).replace(tzinfo=UTC)
        return datetime.now(UTC) - renewed > timedelta(seconds=self._settings.lease_duration)

    def _claim(self) -> dict[str, Any]:
        now = datetime.now(UTC).strftime(_TIME)
        before = self._lease or {"metadata": {"name": self._settings.lease, "namespace": self._namespace}, "spec": {}}
        spec = {**before["spec"], "holderIdentity": self._identity, "renewTime": now}
        spec["leaseDurationSeconds"] = round(self._settings.lease_duration)
        if not self._is_mine():
            spec["acquireTime"] = now
            spec["leaseTransitions"] = before["spec"].get("leaseTransitions", -1) + 1
        metadata = {key: value for key, value in before["metadata"].items() if key != "managedFields"}
        metadata["labels"] = {
            **(metadata.get("labels") or {}),
            MANAGED_BY_LABEL: MANAGER,
            OUTLIVES_RELEASE_LABEL: "true",
        }
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    def _set_leading(self, leads: bool, why: str) -> None:
        if leads != self.leads:
            self.leads = leads
            logger.info("This replica %s: %s", "acts now" if leads else "stands by", why)
            self._changed(leads)
