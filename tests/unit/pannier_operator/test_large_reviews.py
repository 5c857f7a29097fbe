"""The webhook server accepts reviews as large as API servers send, and reads large ones one at a time."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import ClientConnectorError, ClientSession
from servers.processes import free_port

from pannier_operator.settings import CertificateSettings
from pannier_operator.webhook.bodies import MAX_REVIEW
from pannier_operator.webhook.certificates import decide
from pannier_operator.webhook.material import Renew, names_of
from pannier_operator.webhook.server import WebhookServer


class Judge:
    """Answers reviews once `together` of them have arrived, and counts how many are answered at once."""

    def __init__(self, together: int = 1) -> None:
        self.busy = self.most_busy = 0
        self._together = together
        self._are_enough = asyncio.Event()

    async def __call__(self, review: dict[str, Any], **_: Any) -> dict[str, Any]:
        self.busy += 1
        self.most_busy = max(self.busy, self.most_busy)
        if self.busy >= self._together:
            self._are_enough.set()
        await self._are_enough.wait()
        await asyncio.sleep(0.01)
        self.busy -= 1
        return {"size": len(review["request"]["object"]["x"])}


@asynccontextmanager
async def served(folder: Path, judge: Judge) -> AsyncIterator[str]:
    port = free_port()
    server = WebhookServer(port, server_context(folder), {"components": judge, "workloads": judge})
    configurations = server(judge)

    async def serve() -> None:
        async for _ in configurations:
            pass

    task = asyncio.create_task(serve())
    yield f"https://localhost:{port}"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def server_context(folder: Path) -> ssl.SSLContext:
    names = names_of("localhost", "here", "cluster.local")
    made = decide(None, names, datetime.now(UTC), namespace="here", settings=CertificateSettings())
    assert isinstance(made, Renew)
    data = {name: base64.b64decode(text) for name, text in made.manifest["data"].items()}
    file = folder / "tls.pem"
    file.write_bytes(data["tls.crt"] + b"\n" + data["tls.key"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


def review_of(size: int) -> dict[str, Any]:
    request = {"uid": "u", "operation": "CREATE", "resource": {}, "userInfo": {}, "object": {"x": "x" * size}}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


async def asked(session: ClientSession, url: str, size: int) -> tuple[int, Any]:
    while True:
        try:
            async with session.post(url, json=review_of(size), ssl=False) as answer:
                return answer.status, await answer.json() if answer.status == 200 else None
        except ClientConnectorError:  # the server does not listen yet
            await asyncio.sleep(0.02)


async def test_a_review_of_two_large_objects_is_judged_and_a_larger_one_refused(tmp_path: Path) -> None:
    async with served(tmp_path, Judge()) as url, ClientSession() as session:
        assert await asked(session, f"{url}/components", 6 * 1024 * 1024) == (200, {"size": 6 * 1024 * 1024})
        assert (await asked(session, f"{url}/components", MAX_REVIEW))[0] == 413


async def test_large_reviews_are_read_one_at_a_time_and_small_ones_do_not_wait(tmp_path: Path) -> None:
    large, small = Judge(), Judge(together=8)
    async with served(tmp_path, large) as url, ClientSession() as session:
        await asyncio.gather(*(asked(session, f"{url}/components", 1024 * 1024) for _ in range(4)))
    async with served(tmp_path, small) as url, ClientSession() as session:
        await asyncio.gather(*(asked(session, f"{url}/workloads", 10) for _ in range(8)))
    assert large.most_busy == 1
    assert small.most_busy == 8
