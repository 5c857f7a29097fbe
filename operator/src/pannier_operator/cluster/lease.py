"""Leader election: the replica that holds a Lease of coordination.k8s.io reconciles. All replicas watch and answer
webhooks.

A leader that stops cleanly gives the Lease back. If its pod is deleted, another replica takes the Lease within seconds;
if its node fails, when the Lease expires. If two replicas lead for a moment, both do the same, because a reconcile
depends only on what exists.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from pannier_operator.cluster.errors import ApiError, ApiRefusedError
from pannier_operator.cluster.waiting import wait_for_event
from pannier_operator.delivery.app_secret import MANAGED_BY_LABEL, MANAGER, OUTLIVES_RELEASE_LABEL
from pannier_operator.objects.resource_versions import ResourceVersionRewoundError, version_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pannier_operator.cluster.api import ClusterApi
    from pannier_operator.objects.kinds import Lease, LeaseSpec, ObjectMeta
    from pannier_operator.settings import LeaderElectionSettings

logger = logging.getLogger(__name__)

_TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"
_RETRY: Final = 1.0
"""Seconds until the next attempt after a failed call, and between fast polls."""
_FAST_POLLS: Final = 40
"""Fast polls of the Lease after its holder begins to stop: the holder releases the Lease last, or its pod is deleted.
"""


class LeaderElection:
    """Takes part in the election. `leads` says whether this replica is the leader; `changed` is called when that
    changes.
    """

    def __init__(
        self,
        api: ClusterApi,
        settings: LeaderElectionSettings,
        namespace: str,
        identity: str,
        changed: Callable[[bool], None],
        server_is_back: Callable[[], None] = lambda: None,
    ):
        """`server_is_back` is called when the API server answers again after a call that it did not answer."""
        self._api = api
        self._settings = settings
        self._namespace = namespace
        self._identity = identity
        self._changed = changed
        self._server_is_back = server_is_back
        self._was_away = False
        self._lease: Lease | None = None
        self._last_observed = (0, 0.0)
        self._notified = asyncio.Event()
        self._fast_polls = 0
        self._is_released = False
        self._highest = 0
        self.leads = False

    @property
    def holder(self) -> str:
        """Return the pod that holds the Lease, as last read; empty for none."""
        return str(self._lease["spec"].get("holderIdentity") or "") if self._lease is not None else ""

    def notify(self) -> None:
        """Poll the Lease at once, and then fast for a while: the leader's pod is ending or has been deleted."""
        self._fast_polls = _FAST_POLLS
        self._notified.set()

    async def run(self) -> None:
        """Take part in the election until cancelled.

        Raises ResourceVersionRewoundError if the Lease has an earlier version than before.
        """
        while not self._is_released:
            self._notified.clear()
            pause = await self._step()
            await wait_for_event(self._notified, pause)

    async def release(self) -> None:
        """Give the Lease back, so that another replica need not wait until it expires."""
        self._is_released = True
        if not self.leads or self._lease is None:
            return
        self._set_leading(False, "it releases the Lease")
        spec: LeaseSpec = {**self._lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
        given_back: Lease = {**self._lease, "spec": spec}
        try:
            await self._api.write(given_back)
        except ApiError as error:
            logger.warning("The Lease could not be released (%s); another replica takes it when it expires", error)

    async def _step(self) -> float:
        """Take or renew the Lease if possible; return the seconds until the next step."""
        try:
            if self._lease is None or not self.leads:
                self._lease = self._observed(await self._api.lease(self._namespace, self._settings.lease))
            if self._lease is not None and not self._is_mine() and not await self._is_available(self._lease):
                self._set_leading(False, f"{self.holder} holds the Lease")
                self._note_answer()
                return self._pause_of_follower()
            written = self._observed(await self._api.write(self._claim()))
        except ApiError as error:
            self._was_away = self._was_away or not isinstance(error, ApiRefusedError)
            why = f"the Lease {self._settings.lease} could not be renewed ({error})"
            logger.warning("The Lease %s could not be renewed and is tried again: %s", self._settings.lease, error)
            if self.leads and self._is_lost():
                self._set_leading(False, f"{why}, and its duration of {self._settings.lease_duration:g} s is over")
            return _RETRY
        self._lease = written
        self._fast_polls = 0
        self._note_answer()
        why = "it holds the Lease" if written is not None else "another replica has written the Lease meanwhile"
        self._set_leading(written is not None and not self._is_released, why)
        return self._settings.renew_interval if self.leads else _RETRY

    def _note_answer(self) -> None:
        if self._was_away:
            self._was_away = False
            self._server_is_back()

    def _observed(self, lease: Lease | None) -> Lease | None:
        """Return the Lease after checking that its version is not earlier than before."""
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

    async def _is_available(self, lease: Lease) -> bool:
        spec = lease["spec"]
        holder = spec.get("holderIdentity")
        if not holder or self._has_expired(lease):
            return True
        return self._fast_polls > 0 and await self._api.pod(self._namespace, holder) is None

    def _has_expired(self, lease: Lease) -> bool:
        """Return whether the Lease has not been renewed for its duration.

        Measured by this machine's clock from when this version of the Lease was first read, because clocks of machines
        differ.
        """
        version, now = int(lease["metadata"]["resourceVersion"]), asyncio.get_running_loop().time()
        if self._last_observed[0] != version:
            self._last_observed = (version, now)
        return bool(
            now - self._last_observed[1] > lease["spec"].get("leaseDurationSeconds", self._settings.lease_duration)
        )

    def _is_lost(self) -> bool:
        """Return whether our own Lease has expired, so that another replica may have taken it."""
        assert self._lease is not None
        renewed = datetime.strptime(self._lease["spec"]["renewTime"], _TIME).replace(tzinfo=UTC)
        return datetime.now(UTC) - renewed > timedelta(seconds=self._settings.lease_duration)

    def _claim(self) -> Lease:
        now = datetime.now(UTC).strftime(_TIME)
        before: Lease = self._lease or {
            "metadata": {"name": self._settings.lease, "namespace": self._namespace},
            "spec": {},
        }
        spec: LeaseSpec = {**before["spec"], "holderIdentity": self._identity, "renewTime": now}
        spec["leaseDurationSeconds"] = round(self._settings.lease_duration)
        if not self._is_mine():
            spec["acquireTime"] = now
            spec["leaseTransitions"] = before["spec"].get("leaseTransitions", -1) + 1
        metadata: ObjectMeta = before["metadata"].copy()
        metadata.pop("managedFields", None)
        metadata["labels"] = {
            **(metadata.get("labels") or {}),
            MANAGED_BY_LABEL: MANAGER,
            OUTLIVES_RELEASE_LABEL: "true",
        }
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    def _set_leading(self, leads: bool, why: str) -> None:
        if leads != self.leads:
            self.leads = leads
            logger.info("This replica %s: %s", "leads now" if leads else "stands by", why)
            self._changed(leads)
