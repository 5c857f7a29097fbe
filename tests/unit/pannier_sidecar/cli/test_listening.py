"""Sockets are bound before anything else, on every configured address that the machine has."""

from __future__ import annotations

import errno
import socket

import pytest

from pannier_sidecar import __version__
from pannier_sidecar.listening import BindError, bind, bind_port, port_of
from pannier_sidecar.settings import Settings


def close(sockets: list[socket.socket]) -> None:
    for bound in sockets:
        bound.close()


def test_a_free_port_is_the_same_on_every_address():
    bound = bind_port(0, ["127.0.0.1", "127.0.0.2"], "--http-port")
    assert {each.getsockname()[1] for each in bound} == {port_of(bound)}
    assert len(bound) == 2
    close(bound)


def test_a_family_that_the_machine_lacks_is_left_out(monkeypatch):
    real = socket.socket

    def without_ipv6(family, *arguments):
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *arguments)

    monkeypatch.setattr("pannier_sidecar.listening.socket.socket", without_ipv6)
    bound = bind_port(0, ["::1", "127.0.0.1"], "--http-port")
    assert [each.getsockname()[0] for each in bound] == ["127.0.0.1"]
    close(bound)


def test_an_address_of_another_machine_is_reported():
    with pytest.raises(BindError, match=r"can't listen on 192\.0\.2\.1: cannot assign requested address"):
        bind_port(0, ["192.0.2.1"], "--http-port")


def test_a_busy_port_leaves_nothing_bound():
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(BindError, match=rf"port {port} is in use \(127\.0\.0\.1\); .* --http-port"):
            bind_port(port, ["127.0.0.2", "127.0.0.1"], "--http-port")
    close(bind_port(port, ["127.0.0.2"], "--http-port"))


def test_every_interface_can_be_listened_on():
    bound = bind_port(0, ["::", "0.0.0.0"], "--metrics-port")
    assert "0.0.0.0" in [each.getsockname()[0] for each in bound]
    close(bound)


def test_all_ports_are_bound_or_none():
    with socket.create_server(("127.0.0.1", 0)) as busy:
        free = bind_port(0, ["127.0.0.1"], "--http-port")
        port = port_of(free)
        close(free)
        changes = {"listen.http_port": port, "listen.metrics_port": busy.getsockname()[1], "app.id": "a"}
        with pytest.raises(BindError, match="--metrics-port"):
            bind(Settings().changed(changes))
    assert port is not None
    close(bind_port(port, ["127.0.0.1"], "--http-port"))


def test_a_socket_path_that_is_too_long_is_reported(tmp_path):
    folder = tmp_path / ("d" * 100)
    with pytest.raises(BindError, match="too long"):
        bind(Settings().changed({"listen.unix_socket_folder": folder, "app.id": "a"}))


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert __version__ == version("pannier-sidecar")
