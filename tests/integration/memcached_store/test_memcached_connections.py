"""Connecting to memcached, and the messages if that fails."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from scenarios.http_client import HttpClient, path
from scenarios.state_client import Item
from scenarios.worlds import served
from servers.memcached_server import MemcachedServer, single
from servers.opened_store import opened
from servers.processes import free_port
from servers.redis_server import make_certificates

from pannier_sidecar.state.errors import StoreError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.stores.memcached.store import MemcachedStore

EXAMPLE = Path(__file__).parents[3] / "examples" / "components" / "memcached" / "statestore.yaml"
ALICE = {"username": "alice", "password": "sesame"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemcachedServer]:
    """A server that requires a password."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "users").write_text("alice:sesame\n")
    with single(folder, "-Y", str(folder / "users")) as server:
        yield server


async def is_served(settings: dict[str, object]) -> None:
    async with opened(MemcachedStore({"timeout": 30.0, **settings})) as store:  # type: ignore[dict-item]
        await store.set(Set("k", b"1"))
        assert await store.get(Get("k")) is not None


async def fault(**settings: object) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await is_served(settings)
    return caught.value


async def test_the_example_is_served(tmp_path: Path) -> None:
    with single(tmp_path / "server") as server:
        folder = tmp_path / "components"
        folder.mkdir()
        text = EXAMPLE.read_text()
        assert "127.0.0.1:11211" in text
        (folder / "statestore.yaml").write_text(text.replace("127.0.0.1:11211", server.address))
        with served(folder) as pannier:
            client = HttpClient(pannier.port())
            pannier.until(lambda: client.call("GET", path("statestore", "k")).status < 500, "store open")
            client.save("statestore", Item("k", b'"v"'))
            client.close()
        assert server.stored("shop||k") == b'"v"'


async def test_a_user_gets_in_by_password(guarded: MemcachedServer) -> None:
    await is_served({"hosts": guarded.address, **ALICE})


async def test_without_a_password_the_fields_are_named(guarded: MemcachedServer) -> None:
    refused = await fault(hosts=guarded.address)
    assert isinstance(refused, StoreRefusedError)
    assert "set username and password" in str(refused)


async def test_with_a_wrong_password_the_fields_are_named(guarded: MemcachedServer) -> None:
    refused = await fault(hosts=guarded.address, username="alice", password="abracadabra")
    assert isinstance(refused, StoreRefusedError)
    assert "check username and password" in str(refused)
    assert "abracadabra" not in str(refused)


async def test_tls_is_spoken_with_those_that_are_trusted(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path / "certificates")
    chain, key = certificates.path("server.crt"), certificates.path("server.key")
    with single(tmp_path / "server", "-Z", "-o", f"ssl_chain_cert={chain},ssl_key={key}") as server:
        here = {"hosts": server.address, "enableTLS": True}
        for authority in (certificates.path("ca.crt"), certificates.text("ca.crt")):
            await is_served({**here, "caCert": authority})
        await is_served({**here, "insecureSkipTLSVerify": True})
        assert "caCert" in str(await fault(**here))
        assert "caCert cannot be used" in str(await fault(**here, caCert="/nowhere.pem"))
        assert 'set enableTLS: "true"' in str(await fault(hosts=server.address, timeout=2.0))


async def test_a_unix_socket_is_reached_by_its_path(tmp_path: Path) -> None:
    class OnSocket(MemcachedServer):
        def command(self) -> list[str]:
            return ["memcached", "-u", "root", "-s", str(self.folder / "socket")]

        def answers(self) -> object:
            return (self.folder / "socket").exists()

    server = OnSocket(tmp_path)
    try:
        await is_served({"hosts": str(tmp_path / "socket")})
    finally:
        server.stop()


async def test_a_server_without_cas_is_refused(tmp_path: Path) -> None:
    with single(tmp_path, "-C") as server:
        refused = await fault(hosts=server.address)
        assert isinstance(refused, StoreRefusedError)
        assert "start it without -C" in str(refused)


async def test_a_server_that_is_not_memcached_is_refused() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        assert f"what answers at 127.0.0.1:{port} is no memcached" in str(await fault(hosts=f"127.0.0.1:{port}"))


async def test_no_server_at_the_address_is_reported_with_the_field() -> None:
    port = free_port()
    unavailable = await fault(hosts=f"127.0.0.1:{port}")
    assert isinstance(unavailable, StoreUnavailableError)
    assert f"127.0.0.1:{port} cannot be reached" in str(unavailable)
    assert "check hosts" in str(unavailable)


@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        ("", "hosts is empty; write host or host:port"),
        (" , ", "hosts is empty"),
        ("a:0", "hosts is no address: the text after ':' at character 2 is not a port"),
        ("a:b", "at character 2 is not a port; write a port from 1 to 65535"),
        ("a:70000", "at character 2 is not a port"),
        (":1", "there is no host before character 1"),
    ],
)
async def test_invalid_addresses_are_named(hosts: str, message: str) -> None:
    refused = await fault(hosts=hosts)
    assert isinstance(refused, StoreRefusedError)
    assert message in str(refused)
