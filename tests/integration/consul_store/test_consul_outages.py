"""Consul dies, hangs, refuses clients or loses answers: no call hangs, and each says what happened."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest
from scenarios.http_client import HttpClient, path
from scenarios.state_client import Item
from scenarios.worlds import served
from servers.consul_server import ConsulServer, ports, single
from servers.eventually import eventually
from servers.opened_store import opened
from servers.processes import free_port
from servers.redis_server import make_certificates

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.consul.store import ConsulStore

EXAMPLE = Path(__file__).parents[3] / "examples" / "components" / "consul"
pytestmark = pytest.mark.over("consul")

BOOTSTRAP = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ConsulServer]:
    with single(tmp_path) as server:
        yield server


async def test_killed_and_restarted_it_has_every_answered_write(server: ConsulServer) -> None:
    async with opened(ConsulStore({"httpAddr": server.address, "timeout": 30.0})) as store:
        assert not any(await store.bulk_write([Set(f"k{number}", b"1") for number in range(100)]))
        etag = (await store.bulk_get([Get("k0")]))[0]
        server.kill()
        for call in (
            store.get(Get("k0")),
            store.set(Set("k0", b"2")),
            store.set(Set("k0", b"2", if_match="1")),
            store.delete(Delete("k0")),
            store.transact([Set("k0", b"2")]),
            store.keys("", 10, None),
            store.ping(),
        ):
            with pytest.raises(StoreUnavailableError, match=server.address):
                await call
        assert all(isinstance(each, StoreUnavailableError) for each in await store.bulk_get([Get("k0"), Get("k1")]))
        server.start()
        found = await eventually(lambda: store.get(Get("k0")))
        assert found == etag
        entries = await store.bulk_get([Get(f"k{number}") for number in range(100)])
        assert all(getattr(entry, "value", None) == b"1" for entry in entries)


async def test_a_stopped_server_fails_calls_in_time_and_serves_again_when_continued(server: ConsulServer) -> None:
    async with opened(ConsulStore({"httpAddr": server.address, "timeout": 1.0})) as store:
        await eventually(lambda: store.set(Set("k", b"1")))
        server.pause()
        started = monotonic()
        calls = (store.get(Get("k")), store.set(Set("k", b"2")), store.transact([Set("k", b"3")]))
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert monotonic() - started < 10
        assert [type(result) for result in results] == [StoreUnavailableError, OutcomeUnknownError, OutcomeUnknownError]
        assert all("did not answer within 1 s" in str(result) for result in results)
        server.resume()
        await eventually(lambda: store.set(Set("k", b"4")))


async def test_no_write_is_sent_again_when_its_answer_is_lost(server: ConsulServer) -> None:
    async with losing_answers(server) as proxy, opened(ConsulStore({"httpAddr": proxy.address})) as store:
        await store.set(Set("k", b"1"))
        found = await store.get(Get("k"))
        assert found is not None
        proxy.loses_answers = True
        with pytest.raises(OutcomeUnknownError, match="read the key before writing again"):
            await store.set(Set("k", b"2", if_match=found.etag))
        assert proxy.lost == 1
        with pytest.raises(OutcomeUnknownError):
            await store.transact([Set("k", b"3")])
        assert proxy.lost == 2
        with pytest.raises(OutcomeUnknownError):
            await store.set(Set("k", b"4"))
        assert proxy.lost == 3
        assert server.stored("k") == b"4"
        with pytest.raises(OutcomeUnknownError):
            await store.delete(Delete("k"))
        assert proxy.lost == 4
        with pytest.raises(StoreUnavailableError):
            await store.get(Get("k"))
        assert proxy.lost == 6, "a read is asked again"


class LosingProxy:
    """Passes connections on; with `loses_answers` it closes a connection when an answer arrives."""

    def __init__(self, port: int):
        self._port = port
        self.address = ""
        self.loses_answers = False
        self.lost = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(self._pass_on(reader, behind_writer), self._answer(behind_reader, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self.loses_answers:
                self.lost += 1
                break
            writer.write(data)
        writer.close()


@asynccontextmanager
async def losing_answers(server: ConsulServer) -> AsyncIterator[LosingProxy]:
    proxy = LosingProxy(server.port)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as listening:
        proxy.address = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield proxy
        listening.close()


# --- getting in -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsulServer]:
    """A server that allows nothing without a token."""
    tokens = {"master": BOOTSTRAP, "agent": BOOTSTRAP}
    rules = {"acl": {"enabled": True, "default_policy": "deny", "tokens": tokens}, "primary_datacenter": "dc1"}
    with single(tmp_path_factory.mktemp("guarded"), rules, BOOTSTRAP) as server:
        yield server


def token_with(server: ConsulServer, name: str, rules: str) -> str:
    policy = json.dumps({"Name": name, "Rules": rules}).encode()
    identity = json.loads(server.ask("PUT", "/v1/acl/policy", policy))["ID"]
    token = json.loads(server.ask("PUT", "/v1/acl/token", json.dumps({"Policies": [{"ID": identity}]}).encode()))
    return str(token["SecretID"])


async def fault(**settings: str | float | bool) -> StoreError:
    with pytest.raises(StoreError) as caught:
        async with opened(ConsulStore({"timeout": 30.0, **settings})):
            pass
    return caught.value


async def test_the_policy_of_the_example_is_all_that_is_needed(guarded: ConsulServer) -> None:
    token = token_with(guarded, "example", (EXAMPLE / "policy.hcl").read_text())
    async with opened(ConsulStore({"httpAddr": guarded.address, "aclToken": token, "timeout": 30.0})) as store:
        await store.set(Set("k", b"1"))
        await store.transact([Set("l", b"2"), Delete("m")])
        assert (await store.keys("", 10, None)).keys == ["k", "l"]
        with pytest.raises(StoreRefusedError, match="too large"):
            await store.set(Set("k", bytes(524289)))  # whose limit it may not read
        await store.delete(Delete("k"))


async def test_without_a_token_or_the_right_to_write_the_needed_policy_is_named(guarded: ConsulServer) -> None:
    reading = token_with(guarded, "reading", 'key_prefix "dapr/" { policy = "read" }')
    for settings in ({}, {"aclToken": reading}, {"aclToken": "66666666-7777-8888-9999-000000000000"}):
        refused = await fault(httpAddr=guarded.address, **settings)
        assert isinstance(refused, StoreRefusedError), refused
        assert 'let aclToken be one whose policy has: key_prefix "dapr/" { policy = "write" }' in str(refused)
        assert settings.get("aclToken", "nothing") not in str(refused)


async def test_no_server_at_the_address_is_reported_with_the_field() -> None:
    port = free_port()
    unavailable = await fault(httpAddr=f"127.0.0.1:{port}")
    assert isinstance(unavailable, StoreUnavailableError)
    assert f"http://127.0.0.1:{port} cannot be reached" in str(unavailable)
    assert "check httpAddr and scheme" in str(unavailable)


async def test_tls_is_spoken_with_those_that_are_trusted(tmp_path: Path) -> None:
    made = make_certificates(tmp_path / "certificates")
    port = free_port()
    encryption = {"cert_file": made.path("server.crt"), "key_file": made.path("server.key")}
    with single(tmp_path / "server", {**encryption, "ports": {**ports(), "https": port}}) as server:
        address = f"127.0.0.1:{port}"
        for settings in ({"caCert": made.path("ca.crt")}, {"caCert": made.text("ca.crt")}):
            async with opened(ConsulStore({"httpAddr": address, "scheme": "https", **settings})) as store:
                await store.set(Set("k", b"1"))
        async with opened(ConsulStore({"httpAddr": f"https://{address}", "insecureSkipTLSVerify": True})) as store:
            assert await store.get(Get("k")) is not None
        assert "let caCert name the authority" in str(await fault(httpAddr=address, scheme="https"))
        assert "set scheme: https" in str(await fault(httpAddr=address))
        assert "httpAddr" in str(await fault(httpAddr=server.address, scheme="https"))


@pytest.mark.parametrize("address", ["localhost", "ftp://a:1", "a:b", ":8500", "unix:///run/consul", "a:1/path"])
async def test_an_invalid_address_is_named(address: str) -> None:
    refused = await fault(httpAddr=address)
    assert isinstance(refused, StoreRefusedError)
    assert "httpAddr is no address: " in str(refused) and f"'{address}'" not in str(refused)


async def test_the_example_is_served_under_either_name(server: ConsulServer, tmp_path: Path) -> None:
    text = (EXAMPLE / "statestore.yaml").read_text()
    assert "127.0.0.1:8500" in text
    for name in ("state.hashicorp.consul", "state.consul"):
        folder = tmp_path / name
        folder.mkdir()
        here = text.replace("127.0.0.1:8500", server.address).replace("state.hashicorp.consul", name)
        (folder / "statestore.yaml").write_text(here)
        with served(folder) as pannier:
            client = HttpClient(pannier.port())
            pannier.until(lambda client=client: client.call("GET", path("statestore", "k")).status < 500, "store open")
            client.save("statestore", Item("k", f'"{name}"'.encode()))
            client.close()
        assert server.stored("shop||k") == f'"{name}"'.encode()
