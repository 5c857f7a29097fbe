"""What must hold across the fields of `state.redis`: addresses, Sentinel, Cluster and TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.addresses.hosts import HostPort, host_list, is_loopback
from pannier_crds.catalogue.pairs import both_or_none, needs
from pannier_crds.problems import error, metadata_path, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Rule, Setting
    from pannier_crds.problems import Problem


def _addresses(settings: Mapping[str, Setting]) -> tuple[HostPort, ...]:
    """Return the addresses of redisHost, if they are known and valid."""
    hosts = settings.get("redisHost")
    return host_list(hosts) if isinstance(hosts, str) else ()


def _one_port_each(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    port = settings.get("redisPort")
    for address in _addresses(settings):
        if isinstance(port, int) and address.port not in (None, port):
            message = f"redisHost says port {address.port} and redisPort says {port}"
            yield error(metadata_path("redisPort", "value"), message, "remove redisPort, or the port from redisHost")
            return


def _several_hosts_need_a_reason(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    addresses = _addresses(settings)
    if len(addresses) > 1 and settings.get("redisType") == "node" and settings.get("failover") is False:
        yield error(
            metadata_path("redisHost", "value"),
            f"{len(addresses)} addresses for one node",
            'write one, or add redisType: cluster (Redis Cluster) or failover: "true" (Sentinel)',
        )


def _sentinel_needs_a_master_name(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    if settings.get("failover") is True and "sentinelMasterName" not in given:
        message = "failover needs the name under which the Sentinels know the master"
        yield error(metadata_path("failover"), message, "add sentinelMasterName, often 'mymaster'")
    for name in ("sentinelMasterName", "sentinelUsername", "sentinelPassword"):
        if name in given and settings.get("failover") is False:
            advice = 'add failover: "true" if redisHost lists Sentinels'
            yield warning(metadata_path(name), f"{name} has no effect without failover", advice)


def _cluster_has_one_database(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    if settings.get("redisType") != "cluster":
        return
    if settings.get("redisDB"):
        message = f"a Redis Cluster has only database 0, not {settings['redisDB']}"
        yield error(metadata_path("redisDB", "value"), message, "remove redisDB")
    if settings.get("failover") is True:
        message = "a Redis Cluster fails over by itself and has no Sentinels"
        yield error(metadata_path("failover", "value"), message, "remove failover, or write redisType: node")
    if settings.get("actorStateStore") is True:
        yield warning(
            metadata_path("actorStateStore", "value"),
            "on a Redis Cluster an actor's keys lie in different slots, so a transaction over several keys is refused",
            "use a single Redis or Sentinel for actors, or change one key per transaction",
        )


def _client_certificate_needs_tls(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    for name in ("clientCert", "clientKey"):
        if name in given and settings.get("enableTLS") is False:
            yield error(metadata_path(name), f"{name} needs TLS", f'add enableTLS: "true", or remove {name}')
            return


def _verification_needs_tls(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    if settings.get("insecureSkipTLSVerify") is True and settings.get("enableTLS") is False:
        message = "insecureSkipTLSVerify has no effect without TLS"
        yield warning(metadata_path("insecureSkipTLSVerify"), message, 'add enableTLS: "true", or remove it')


def _retry_intervals_are_ordered(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    lowest, highest = settings.get("redisMinRetryInterval"), settings.get("redisMaxRetryInterval")
    if "redisMinRetryInterval" not in given or "redisMaxRetryInterval" not in given:
        return
    if isinstance(lowest, float) and isinstance(highest, float) and lowest > highest:
        message = f"the shortest pause ({lowest:g} s) is longer than redisMaxRetryInterval ({highest:g} s)"
        yield error(metadata_path("redisMinRetryInterval", "value"), message, "make redisMaxRetryInterval longer")


def _token_can_be_sent(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    ways = [name for name in ("useEntraID", "useAWSIAM") if settings.get(name) is True]
    others = tuple(ways) if "credentialProvider" in given else ()
    if "credentialProvider" in given:
        ways.insert(0, "credentialProvider")
    if not ways:
        return
    taken = ("redisPassword",) if ways[0] == "useAWSIAM" else ("redisUsername", "redisPassword")
    for name in (*taken, *others):
        if name in given:
            yield error(metadata_path(name), f"{name} and {ways[0]} exclude each other", "keep one of them")
    if ways[0] == "useAWSIAM":
        for name in ("redisUsername", "cacheName"):
            if name not in given:
                yield error(metadata_path("useAWSIAM"), f"useAWSIAM needs {name}", f"add {name}")
    if settings.get("enableTLS") is False and not all(is_loopback(each.host) for each in _addresses(settings)):
        message = "a token is never sent as plain text to another machine"
        yield error(metadata_path("enableTLS"), message, 'add enableTLS: "true"')


def _provider_is_named(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    for name in ("credentialProviderArguments", "credentialProviderInterval"):
        if name in given and "credentialProvider" not in given:
            message = f"{name} has no effect without credentialProvider"
            yield warning(metadata_path(name), message, "add credentialProvider, or take it out")


RULES: Final[tuple[Rule, ...]] = (
    _one_port_each,
    _several_hosts_need_a_reason,
    _sentinel_needs_a_master_name,
    _cluster_has_one_database,
    needs(*both_or_none("clientCert", "clientKey")),
    _client_certificate_needs_tls,
    _verification_needs_tls,
    _retry_intervals_are_ordered,
    _token_can_be_sent,
    _provider_is_named,
)
