"""Sidecars are probed until they have read what was delivered; reports on earlier versions stay valid until then."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from pannier_operator.cluster.probes import Expected, SidecarProber
from pannier_operator.injection.plan import PUBLIC_PORT
from pannier_operator.status.readiness import StoreReport

READY = StoreReport("ready")


class Sidecar:
    """Answers as a sidecar that has read `version` and has these stores, at a random loopback address."""

    def __init__(self) -> None:
        self.address = f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"
        self.version = "a"
        self.stores = {"orders": "ready"}
        self.resiliencies: dict[str, str] | None = {}
        """None: it is of a version that does not report on them."""
        self.key = ""
        """The status key without which it reports only its version; empty: no key is needed."""

    async def answer(self, request: web.Request) -> web.Response:
        if self.key and request.headers.get("pannier-status-key") != self.key:
            return web.json_response({"ready": True, "componentsVersion": self.version})
        stores = {name: {"state": state} for name, state in self.stores.items()}
        answer: dict[str, Any] = {"ready": True, "componentsVersion": self.version, "stores": stores}
        if self.resiliencies is not None:
            answer["resiliencies"] = {name: {"state": state} for name, state in self.resiliencies.items()}
        return web.json_response(answer)

    def expected(self, version: str = "a", **generations: int) -> Expected:
        delivered = generations or {"orders": 1}
        status = {"phase": "Running", "podIP": self.address}
        pod: Any = {"metadata": {"name": "cart-1", "uid": "1"}, "status": status, "ready": "True"}
        return Expected(pod, version, delivered, list(delivered))


@pytest.fixture
async def sidecar() -> AsyncIterator[Sidecar]:
    found = Sidecar()
    application = web.Application()
    application.router.add_get("/v1.0/healthz", found.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, found.address, PUBLIC_PORT).start()
    yield found
    await runner.cleanup()


@pytest.fixture
async def prober() -> AsyncIterator[SidecarProber]:
    found = SidecarProber()
    yield found
    await found.close()


async def test_a_sidecar_that_has_everything_ready_is_probed_once(sidecar: Sidecar, prober: SidecarProber) -> None:
    assert prober.due_at(sidecar.expected()) == 0.0
    await prober.probe([sidecar.expected()])

    assert prober.due_at(sidecar.expected()) is None
    assert prober.report_on(sidecar.expected()).stores == {"orders": READY}


async def test_no_connection_stays_after_a_probe(sidecar: Sidecar, prober: SidecarProber) -> None:
    await prober.probe([sidecar.expected()])

    assert prober._session is not None and prober._session.connector is not None
    assert not prober._session.connector._conns


async def test_a_pod_that_was_never_probed_is_known_as_such(sidecar: Sidecar, prober: SidecarProber) -> None:
    expected = sidecar.expected()
    assert not prober.were_probed([expected])
    assert prober.were_probed([Expected(expected.pod, "a", {}, [])]), "it has no store to report on"

    await prober.probe([expected])
    assert prober.were_probed([expected])
    assert prober.were_probed([sidecar.expected("b")]), "a report on an earlier version counts"


async def test_a_pod_without_stores_is_not_probed(sidecar: Sidecar, prober: SidecarProber) -> None:
    expected = sidecar.expected()
    assert prober.due_at(Expected(expected.pod, "a", {}, [])) is None


async def test_a_sidecar_that_has_not_read_the_latest_is_probed_until_it_has(
    sidecar: Sidecar, prober: SidecarProber
) -> None:
    await prober.probe([sidecar.expected()])
    latest = sidecar.expected("b")
    assert prober.due_at(latest)  # a moment later, when the sidecar may have read it
    assert prober.unread_probes(latest.pod, "b") == 0, "it was not probed yet"

    for times in (1, 2):
        await prober.probe([latest])
        assert prober.unread_probes(latest.pod, "b") == times
        assert prober.due_at(latest)

    sidecar.version = "b"
    await prober.probe([latest])
    assert prober.unread_probes(latest.pod, "b") == 0
    assert prober.due_at(latest) is None


async def test_a_report_on_an_earlier_version_counts_only_for_components_that_did_not_change(
    sidecar: Sidecar, prober: SidecarProber
) -> None:
    sidecar.stores = {"orders": "ready", "carts": "ready"}
    await prober.probe([sidecar.expected("a", orders=1, carts=1)])
    latest = sidecar.expected("b", orders=2, carts=1)

    await prober.probe([latest])
    assert prober.report_on(latest).stores == {"carts": READY}, "orders is ready in its first generation only"

    sidecar.version = "b"
    await prober.probe([latest])
    assert prober.report_on(latest).stores == {"orders": READY, "carts": READY}


async def test_if_versions_change_all_the_time_a_report_on_a_recent_one_counts(
    sidecar: Sidecar, prober: SidecarProber
) -> None:
    """The situation of a replica that becomes the leader while Components are applied once a second."""
    await prober.probe([sidecar.expected("b", orders=2, carts=1)])
    assert prober.report_on(sidecar.expected("b", orders=2, carts=1)).stores == {}, "it reports on a version before"

    sidecar.version = "b"
    latest = sidecar.expected("c", orders=2, carts=2)
    await prober.probe([latest])
    assert prober.report_on(latest).stores == {"orders": READY}

    for number in range(100):
        assert prober.due_at(sidecar.expected(f"after {number}", orders=2, carts=3))
    [probed] = prober._probed.values()
    assert len(probed.versions) < 10


async def test_changes_do_not_put_a_probe_off(sidecar: Sidecar, prober: SidecarProber) -> None:
    await prober.probe([sidecar.expected("b")])
    due = prober.due_at(sidecar.expected("b"))
    assert due
    assert prober.due_at(sidecar.expected("c")) == due


async def test_the_end_of_the_last_store_is_waited_for_too(sidecar: Sidecar, prober: SidecarProber) -> None:
    await prober.probe([sidecar.expected()])
    emptied = Expected(sidecar.expected().pod, "b", {}, [])

    assert prober.due_at(emptied)
    await prober.probe([emptied])
    assert prober.unread_probes(emptied.pod, "b") == 1


async def test_a_sidecar_that_names_no_version_is_believed(sidecar: Sidecar, prober: SidecarProber) -> None:
    sidecar.version = ""
    await prober.probe([sidecar.expected("b")])

    assert prober.due_at(sidecar.expected("b")) is None
    assert prober.unread_probes(sidecar.expected().pod, "b") == 0


async def test_a_pod_that_does_not_answer_is_probed_again(prober: SidecarProber) -> None:
    silent = Sidecar().expected()
    await prober.probe([silent])

    assert "does not answer on port 3501" in prober.report_on(silent).trouble
    assert prober.due_at(silent)


async def test_a_sidecar_that_does_not_know_the_status_key_yet_is_probed_until_it_does(
    sidecar: Sidecar, prober: SidecarProber
) -> None:
    sidecar.key = "k3y"
    expected = replace(sidecar.expected(), status_key="later")
    await prober.probe([expected])
    assert prober.report_on(expected).stores == {}
    assert prober.due_at(expected)

    expected = replace(expected, status_key="k3y")
    await prober.probe([expected])
    assert prober.report_on(expected).stores == {"orders": READY}
    assert prober.due_at(expected) is None


def with_policies(sidecar: Sidecar, version: str, generation: int) -> Expected:
    return replace(sidecar.expected(version, **{"resiliency/state": generation}), stores=[], resiliencies=["state"])


async def test_a_pod_with_policies_alone_is_probed_until_it_uses_them(sidecar: Sidecar, prober: SidecarProber) -> None:
    expected = with_policies(sidecar, "a", 1)
    assert prober.due_at(expected) == 0.0
    await prober.probe([expected])
    assert prober.due_at(expected), "it has read the version and does not name them yet"

    sidecar.resiliencies = {"state": "ready"}
    await prober.probe([expected])
    assert prober.due_at(expected) is None
    assert prober.report_on(expected).resiliencies == {"state": READY}
    assert prober.report_on(with_policies(sidecar, "b", 2)).resiliencies == {}, "its report is on the first generation"


async def test_a_sidecar_that_cannot_report_on_policies_is_not_probed_for_ever(
    sidecar: Sidecar, prober: SidecarProber
) -> None:
    sidecar.resiliencies = None
    await prober.probe([with_policies(sidecar, "a", 1)])
    assert prober.due_at(with_policies(sidecar, "a", 1)) is None
