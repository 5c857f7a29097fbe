"""Hosts and origins: the sidecar's own, the allowed ones, and foreign ones."""

import pytest
from unit.tables import each_row

from pannier_sidecar.access import HOST_NOT_ALLOWED, ORIGIN_NOT_ALLOWED, AccessControl
from pannier_sidecar.cli import flag_values

LOCAL, EXPOSED = AccessControl(), AccessControl(is_exposed=True)
LOOPBACK_HOSTS = [
    b"localhost",
    b"LOCALHOST:3500",
    b"localhost.:3500",
    b"app.localhost:3500",
    b"127.0.0.1:3500",
    b"127.8.9.1",
    b"127.1:3500",
    b"[::1]:3500",
    b"[0:0:0:0:0:0:0:1]",
    b"[::ffff:127.0.0.1]:3500",
    b"ip6-localhost:3500",
    b"0.0.0.0:3500",
    b"[::]:3500",
]
ADDRESSES_AND_PRIVATE_NAMES = [
    b"10.1.2.3:3500",
    b"[fd00::1]:3500",
    b"[fe80::1%eth0]:3500",
    b"[FE80::1%25eth0]",
    b"sidecar:3500",
    b"host.docker.internal:3500",
    b"orders-pannier.shop.svc:3500",
    b"orders-pannier.shop.svc.cluster.local",
]
FOREIGN_HOSTS = [
    b"evil.example:3500",
    b"localhost.evil.example",
    b"evil-localhost.example",
    b"127.0.0.1.evil.example",
    b"a.svc.evil.example",
    b"xn--4ca.example",
]
NO_HOSTS = [
    b"127.0.0.1@evil.example",
    b"evil.example#localhost",
    b"localhost evil.example",
    b"[::1",
    b"[::1]evil.example",
    b"[::1%]",
    b"[::1%evil/]",
    b"localhost:3500:1",
    b"\xc3\xa4.example",
    b":3500",
    b",",
    b"localhost, evil.example",
    b"localhost/",
]


@each_row("host", [None, b"", *LOOPBACK_HOSTS])
@pytest.mark.parametrize("access", [LOCAL, EXPOSED], ids=["local", "exposed"])
def test_loopback_hosts_are_always_its_own(access: AccessControl, host: bytes | None) -> None:
    assert access.refusal(host, None) is None
    assert access.refusal(host, None) is None, "now that it is known"


@each_row("host", ADDRESSES_AND_PRIVATE_NAMES)
def test_hosts_that_no_web_site_can_have_are_allowed_on_exposed_ports(host: bytes) -> None:
    assert EXPOSED.refusal(host, None) is None
    refused = LOCAL.refusal(host, None)
    assert refused is not None and "--allowed-hosts" in refused.message


@pytest.mark.parametrize("host", [b"orders-metrics.team-shop:9090", b"orders.team-shop", b"Orders.Team-Shop.:3501"])
def test_the_services_of_its_own_namespace_are_its_own_in_a_pod(host: bytes) -> None:
    assert AccessControl(is_exposed=True, pod_namespace="team-shop").refusal(host, None) is None
    for other in (LOCAL, EXPOSED, AccessControl(pod_namespace="team-shop"), AccessControl(True, pod_namespace="shop")):
        refused = other.refusal(host, None)
        assert refused is not None and refused.code == HOST_NOT_ALLOWED


@pytest.mark.parametrize(
    ("namespace", "host"),
    [
        ("dev", b"evil.dev"),
        ("default", b"evil.default"),
        ("xn--p1ai", b"evil.xn--p1ai"),
        ("team-shop", b"evil.example"),
        ("team-shop", b"team-shop.evil.example"),
        ("team-shop", b"evilteam-shop.example"),
    ],
)
def test_a_name_that_a_site_may_have_is_refused_in_a_pod_and_the_annotation_named(namespace: str, host: bytes) -> None:
    access = AccessControl(is_exposed=True, pod_namespace=namespace)
    refused = access.refusal(host, None)
    assert refused is not None and refused.code == HOST_NOT_ALLOWED
    assert f"annotate its pod with pannier.dev/allowed-hosts: '{host.decode()}'" in refused.message
    refused = access.refusal(b"localhost", b"http://evil.example")
    assert refused is not None and "pannier.dev/allowed-origins: 'http://evil.example'" in refused.message


@each_row("host", FOREIGN_HOSTS)
@pytest.mark.parametrize("access", [LOCAL, EXPOSED], ids=["local", "exposed"])
def test_other_hosts_are_refused_in_one_line_that_names_the_flag(access: AccessControl, host: bytes) -> None:
    refused = access.refusal(host, None)
    assert refused is not None
    assert (refused.http_status, refused.code) == (403, HOST_NOT_ALLOWED)
    assert "--allowed-hosts" in refused.message
    assert refused.message.isprintable() and refused.message.isascii()


@each_row("host", NO_HOSTS)
def test_an_invalid_host_is_malformed(host: bytes) -> None:
    refused = EXPOSED.refusal(host, None)
    assert refused is not None and refused.http_status == 400
    assert refused.message.isprintable() and refused.message.isascii()


def test_a_long_host_makes_no_long_answer() -> None:
    refused = LOCAL.refusal(b"a" * 10_000 + b".example", None)
    assert refused is not None and len(refused.message) < 400


def test_no_more_hosts_are_remembered_than_there_is_room_for() -> None:
    access = AccessControl(is_exposed=True)
    for number in range(5000):
        assert access.refusal(b"10.0.%d.%d" % divmod(number, 256), None) is None
    assert len(access.known_hosts) <= 64


@each_row(
    ("flag", "host", "passes"),
    [
        ("state.example.com", b"state.example.com:8080", True),
        ("State.Example.com:443", b"STATE.example.com", True),
        ("state.example.com", b"other.example.com", False),
        (".example.com", b"a.b.example.com", True),
        ("*.example.com", b"a.example.com:1", True),
        (".example.com", b"example.com", False),
        (".example.com", b"evil-example.com", False),
        ("a.example,192.0.2.7", b"192.0.2.7:3500", True),
        ("[2001:db8::7]:3500", b"[2001:db8:0::7]:3500", True),
        ("2001:db8::7", b"[2001:db8::7]", True),
        ("*", b"anything.at.all", True),
    ],
)
def test_hosts_that_a_user_allows(flag: str, host: bytes, passes: bool) -> None:
    access = AccessControl(allowed_hosts=flag_values.hosts(flag))
    assert (access.refusal(host, None) is None) == passes


@pytest.mark.parametrize("text", ["a b", "a/b", "a.example/x", "ex*mple.com", "", "http://a.example"])
def test_an_invalid_host_cannot_be_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="write host names"):
        flag_values.hosts(f"localhost,{text or '@'}")


@each_row(
    ("flag", "origin", "passes"),
    [
        ("", b"http://evil.example", False),
        ("", b"null", False),
        ("", b"http://localhost:5173", False),
        ("", b"http://localhost:3500", True),
        ("", b"https://localhost:3500", True),
        ("", b"http://localhost:3500.evil.example", False),
        ("http://localhost:5173", b"http://localhost:5173", True),
        ("HTTP://LocalHost:5173/", b"http://localhost:5173", True),
        ("http://localhost:5173", b"https://localhost:5173", False),
        ("http://localhost:*", b"http://localhost:5173", True),
        ("https://*.example.com", b"https://a.example.com", True),
        ("https://*.example.com", b"https://example.com", False),
        ("https://*.example.com", b"https://a.example.com.evil.example", False),
        ("https://x*x.example", b"https://x.example", False),
        ("https://a.example, https://b.example", b"https://b.example", True),
        ("null", b"null", True),
        ("*", b"http://evil.example", True),
    ],
)
def test_origins_are_allowed_as_the_flag_says(flag: str, origin: bytes, passes: bool) -> None:
    access = AccessControl(allowed_origins=flag_values.origins(flag))
    refused = access.refusal(b"localhost:3500", origin)
    assert (refused is None) == passes
    if refused is not None:
        assert refused.code == ORIGIN_NOT_ALLOWED and f"--allowed-origins {origin.decode()}" in refused.message


def test_an_origin_that_names_a_foreign_host_as_its_own_is_refused_for_the_host() -> None:
    refused = LOCAL.refusal(b"evil.example:3500", b"http://evil.example:3500")
    assert refused is not None and refused.code == HOST_NOT_ALLOWED


@pytest.mark.parametrize("text", ["localhost:5173", "example.com", "http://a/b", "http://*.*.example", "http://a b"])
def test_an_invalid_origin_cannot_be_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="write origins such as"):
        flag_values.origins(text)
