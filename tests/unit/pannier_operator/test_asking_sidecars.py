"""Sidecars are asked until they have read what was delivered; what they said of earlier versions counts on."""

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
    """Answers as a sidecar that has read `version` and has these stores, at an address of its own."""

    def __init__(self) -> None:
        self.address = f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"
        self.version = "a"
        self.stores = {"orders": "ready"}
        self.key = ""
        """Without which it tells its version alone; empty: everybody is told all."""

    async def answer(self, request: web.Request) -> web.Response:
        if self.key and request.headers.get("pannier-status-key") != self.key:
            return web.json_response({"ready": True, "componentsVersion": self.version})
        stores = {name: {"state": state} for name, state in self.stores.items()}
        return web.json_response({"ready": True, "componentsVersion": self.version, "stores": stores})

    def expected(self, version: str = "a", **generations: int) -> Expected:
        delivered = generations or {"orders": 1}
        status = {"phase": "Running", "podIP": self.address, "ready": "True"}
        pod: dict[str, Any] = {"metadata": {"name": "cart-1", "uid": "1"}, "status": status}
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
async def reports() -> AsyncIterator[SidecarProber]:
    found = SidecarProber()
    yield found
    await found.close()


async def test_a_sidecar_that_has_everything_ready_is_asked_once(sidecar: Sidecar, reports: SidecarProber) -> None:
    assert reports.due_at(sidecar.expected()) == 0.0
    await reports.probe([sidecar.expected()])

    assert reports.due_at(sidecar.expected()) is None
    assert reports.report_on(sidecar.expected()).stores == {"orders": READY}


async def test_who_was_never_asked_is_told_apart(sidecar: Sidecar, reports: SidecarProber) -> None:
    expected = sidecar.expected()
    assert not reports.were_probed([expected])
    assert reports.were_probed([Expected(expected.pod, "a", {}, [])]), "there is nothing to ask"

    await reports.probe([expected])
    assert reports.were_probed([expected])
    assert reports.were_probed([sidecar.expected("b")]), "what it has said of an earlier version counts"


async def test_a_pod_without_stores_is_not_asked(sidecar: Sidecar, reports: SidecarProber) -> None:
    expected = sidecar.expected()
    assert reports.due_at(Expected(expected.pod, "a", {}, [])) is None


async def test_a_sidecar_that_has_not_read_the_latest_is_asked_until_it_has(
    sidecar: Sidecar, reports: SidecarProber
) -> None:
    await reports.probe([sidecar.expected()])
    latest = sidecar.expected("b")
    assert reports.due_at(latest)  # a moment later, when it may have read it
    assert reports.missed(latest.pod, "b") == 0, "it was not asked yet"

    for times in (1, 2):
        await reports.probe([latest])
        assert reports.missed(latest.pod, "b") == times
        assert reports.due_at(latest)

    sidecar.version = "b"
    await reports.probe([latest])
    assert reports.missed(latest.pod, "b") == 0
    assert reports.due_at(latest) is None


async def test_what_was_said_of_an_earlier_version_counts_only_where_nothing_changed(
    sidecar: Sidecar, reports: SidecarProber
) -> None:
    sidecar.stores = {"orders": "ready", "carts": "ready"}
    await reports.probe([sidecar.expected("a", orders=1, carts=1)])
    latest = sidecar.expected("b", orders=2, carts=1)

    await reports.probe([latest])
    assert reports.report_on(latest).stores == {"carts": READY}, "orders is ready in its first generation only"

    sidecar.version = "b"
    await reports.probe([latest])
    assert reports.report_on(latest).stores == {"orders": READY, "carts": READY}


async def test_the_end_of_the_last_store_is_waited_for_too(sidecar: Sidecar, reports: SidecarProber) -> None:
    await reports.probe([sidecar.expected()])
    emptied = Expected(sidecar.expected().pod, "b", {}, [])

    assert reports.due_at(emptied)
    await reports.probe([emptied])
    assert reports.missed(emptied.pod, "b") == 1


async def test_a_sidecar_that_names_no_version_is_believed(sidecar: Sidecar, reports: SidecarProber) -> None:
    sidecar.version = ""
    await reports.probe([sidecar.expected("b")])

    assert reports.due_at(sidecar.expected("b")) is None
    assert reports.missed(sidecar.expected().pod, "b") == 0


async def test_a_pod_that_does_not_answer_is_asked_again(reports: SidecarProber) -> None:
    nobody = Sidecar().expected()
    await reports.probe([nobody])

    assert "does not answer on port 3501" in reports.report_on(nobody).trouble
    assert reports.due_at(nobody)


async def test_a_sidecar_that_does_not_know_the_operator_yet_is_asked_until_it_does(
    sidecar: Sidecar, reports: SidecarProber
) -> None:
    sidecar.key = "k3y"
    expected = replace(sidecar.expected(), status_key="later")
    await reports.probe([expected])
    assert reports.report_on(expected).stores == {}
    assert reports.due_at(expected)

    expected = replace(expected, status_key="k3y")
    await reports.probe([expected])
    assert reports.report_on(expected).stores == {"orders": READY}
    assert reports.due_at(expected) is None
