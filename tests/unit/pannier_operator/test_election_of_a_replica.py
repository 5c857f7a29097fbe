"""One replica leads: the holder of the Lease, until it gives the Lease back, its pod is deleted, or the Lease
expires.
"""

from __future__ import annotations

import asyncio
from copy import deepcopy
from typing import Any

import pytest

from pannier_operator.cluster import lease
from pannier_operator.cluster.errors import ApiError
from pannier_operator.cluster.lease import LeaderElection
from pannier_operator.objects.resource_versions import ResourceVersionRewoundError
from pannier_operator.settings import LeaderElectionSettings

SHORT = LeaderElectionSettings(lease_duration=0.4, renew_interval=0.05)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_RETRY", 0.05)


class Cluster:
    """One Lease and the pods of its candidates. As in an API server, a writer must have read the latest version."""

    def __init__(self, *pods: str):
        self.pods = set(pods)
        self.stored: dict[str, Any] | None = None
        self.version = 0
        self.writes = 0

    async def lease(self, namespace: str, name: str) -> dict[str, Any] | None:
        return deepcopy(self.stored)

    async def pod(self, namespace: str, name: str) -> dict[str, Any] | None:
        return {"metadata": {"name": name}} if name in self.pods else None

    async def write(self, manifest: dict[str, Any]) -> dict[str, Any] | None:
        latest = None if self.stored is None else self.stored["metadata"]["resourceVersion"]
        if manifest["metadata"].get("resourceVersion") != latest:
            return None
        self.version += 1
        self.writes += 1
        self.stored = deepcopy(manifest)
        self.stored["metadata"]["resourceVersion"] = str(self.version)
        return deepcopy(self.stored)


def candidate(cluster: Any, name: str, settings: LeaderElectionSettings = SHORT) -> LeaderElection:
    return LeaderElection(cluster, settings, "pannier-system", name, lambda leads: None)


async def until(is_so: Any) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.01)


async def test_one_of_two_leads_until_it_gives_the_lease_back() -> None:
    cluster = Cluster("one", "two")
    one, two = candidate(cluster, "one"), candidate(cluster, "two")
    running = [asyncio.create_task(each.run()) for each in (one, two)]
    await until(lambda: one.leads or two.leads)
    assert one.leads != two.leads
    first, second = (one, two) if one.leads else (two, one)

    await first.release()

    await until(lambda: second.leads)
    assert not first.leads
    for task in running:
        task.cancel()


async def test_a_silent_holder_loses_the_lease_when_its_time_is_over() -> None:
    cluster = Cluster("one", "two")
    one, two = candidate(cluster, "one"), candidate(cluster, "two")
    first = asyncio.create_task(one.run())
    await until(lambda: one.leads)
    first.cancel()

    running = asyncio.create_task(two.run())

    await until(lambda: two.leads)
    running.cancel()


async def test_a_holder_whose_pod_has_gone_loses_the_lease_at_once() -> None:
    cluster = Cluster("one", "two")
    long = LeaderElectionSettings(lease_duration=3600, renew_interval=1800)
    one, two = candidate(cluster, "one", long), candidate(cluster, "two", long)
    first = asyncio.create_task(one.run())
    await until(lambda: one.leads)
    first.cancel()
    running = asyncio.create_task(two.run())
    await until(lambda: two.holder == "one")
    cluster.pods.discard("one")

    two.notify()

    await until(lambda: two.leads)
    running.cancel()


async def test_a_restarted_holder_goes_on_with_its_own_lease() -> None:
    cluster = Cluster("one")
    long = LeaderElectionSettings(lease_duration=3600, renew_interval=1800)
    before = asyncio.create_task(candidate(cluster, "one", long).run())
    await until(lambda: cluster.writes == 1)
    before.cancel()
    again = candidate(cluster, "one", long)

    running = asyncio.create_task(again.run())

    await until(lambda: again.leads)
    assert cluster.stored is not None
    assert cluster.stored["spec"]["leaseTransitions"] == 0
    running.cancel()


@pytest.mark.parametrize("of_the_holder", [True, False])
async def test_a_lease_with_an_earlier_version_ends_everything(of_the_holder: bool) -> None:
    cluster = Cluster("one", "two")
    one, two = candidate(cluster, "one"), candidate(cluster, "two")
    running = [asyncio.create_task(one.run())]
    await until(lambda: one.leads and cluster.version > 3)
    backup, version = deepcopy(cluster.stored), cluster.version
    running.append(asyncio.create_task(two.run()))
    await until(lambda: two.holder == "one" and cluster.version > version + 3)

    if not of_the_holder:
        running[0].cancel()
    cluster.stored, cluster.version = backup, version

    with pytest.raises(ResourceVersionRewoundError, match="the Lease has version"):
        await asyncio.wait_for(running[0 if of_the_holder else 1], 20)
    for task in running:
        task.cancel()


async def test_a_lease_that_is_created_again_with_an_earlier_version_ends_everything_too() -> None:
    cluster = Cluster("one")
    running = asyncio.create_task(candidate(cluster, "one").run())
    await until(lambda: cluster.version > 3)
    cluster.stored, cluster.version = None, 0

    with pytest.raises(ResourceVersionRewoundError):
        await asyncio.wait_for(running, 20)


class Failing(Cluster):
    """A candidate whose API server stops answering after a while."""

    is_down = False

    async def write(self, manifest: dict[str, Any]) -> dict[str, Any] | None:
        if self.is_down:
            raise ApiError("TimeoutError")
        return await super().write(manifest)


async def test_the_log_says_why_a_lease_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    cluster = Failing("one", "two")
    one = candidate(cluster, "one")
    running = asyncio.create_task(one.run())
    await until(lambda: one.leads)
    cluster.is_down = True
    await until(lambda: not one.leads)
    said = caplog.messages[-1]
    assert said.startswith(
        "This replica stands by: the Lease pannier-operator could not be renewed (the API server does not answer"
    )
    assert said.endswith("and its duration of 0.4 s is over")

    cluster.is_down = False
    await until(lambda: one.leads)
    assert cluster.stored is not None
    cluster.version += 1
    cluster.stored["metadata"]["resourceVersion"] = str(cluster.version)
    cluster.stored["spec"]["holderIdentity"] = "two"
    await until(lambda: not one.leads)
    assert caplog.messages[-1] == "This replica stands by: another replica has written the Lease meanwhile"
    await until(lambda: one.holder == "two")
    running.cancel()


async def test_the_lease_can_be_found_for_a_clean_up() -> None:
    cluster = Cluster("one")
    one = candidate(cluster, "one")
    running = asyncio.create_task(one.run())
    await until(lambda: one.leads)
    assert cluster.stored is not None
    assert cluster.stored["metadata"]["labels"]["pannier.dev/outlives-release"] == "true"
    running.cancel()


@pytest.mark.parametrize("leads", [True, False])
async def test_the_return_of_an_api_server_is_reported_once(leads: bool) -> None:
    cluster = Failing("one", "two")
    if not leads:
        holder = asyncio.create_task(candidate(cluster, "two").run())
        await until(lambda: cluster.stored is not None)
        holder.cancel()
    returns: list[float] = []
    one = LeaderElection(
        cluster, SHORT, "pannier-system", "one", lambda leads: None, lambda: returns.append(cluster.version)
    )
    running = asyncio.create_task(one.run())
    await until(lambda: one.leads)
    assert not returns

    cluster.is_down = True
    await until(lambda: not one.leads)
    assert not returns
    cluster.is_down = False

    await until(lambda: one.leads and cluster.version > returns[0] + 2)
    assert len(returns) == 1
    running.cancel()
