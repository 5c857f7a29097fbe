"""Variables of the environment become settings; the messages about variables that cannot be used."""

from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any

import pytest
from unit.tables import each_row

from pannier_operator.settings import OperatorSettings, SettingsError, from_environment, read_environment


def test_an_empty_environment_gives_the_defaults() -> None:
    assert from_environment({}) == OperatorSettings()


def test_empty_variables_count_as_absent() -> None:
    assert from_environment({"PANNIER_SIDECAR_IMAGE": " ", "PANNIER_SIDECAR_CPU_LIMIT": ""}) == OperatorSettings()


@each_row(
    ("variable", "text", "path", "value"),
    [
        ("PANNIER_OPERATOR_NAMESPACE", "ops", "operator.namespace", "ops"),
        ("PANNIER_OPERATOR_POD_NAME", "pannier-0", "operator.pod_name", "pannier-0"),
        ("PANNIER_OPERATOR_WATCHED_NAMESPACES", "a, b,c d", "operator.watched_namespaces", ("a", "b", "c", "d")),
        ("PANNIER_WEBHOOK_LISTEN_PORT", "8443", "webhook.listen_port", 8443),
        ("PANNIER_CERTIFICATE_LIFETIME", "2h", "certificate.lifetime", 7200.0),
        ("PANNIER_SIDECAR_IMAGE", "example/sidecar:1", "sidecar.image", "example/sidecar:1"),
        ("PANNIER_SIDECAR_IMAGE_PULL_SECRETS", "one,two", "sidecar.image_pull_secrets", ("one", "two")),
        ("PANNIER_SIDECAR_NATIVE", "never", "sidecar.native", "never"),
        ("PANNIER_SIDECAR_PROFILE", "dapr", "sidecar.profile", "dapr"),
        ("PANNIER_SIDECAR_RUN_AS_USER", "1000", "sidecar.run_as_user", 1000),
        ("PANNIER_SIDECAR_RUN_AS_USER", "none", "sidecar.run_as_user", None),
        ("PANNIER_SIDECAR_MEMORY_LIMIT", "none", "sidecar.memory_limit", ""),
        ("PANNIER_SIDECAR_CPU_LIMIT", "0.5", "sidecar.cpu_limit", "0.5"),
        ("PANNIER_SIDECAR_LOG_AS_JSON", "Yes", "sidecar.log_as_json", True),
        ("PANNIER_SIDECAR_SHUTDOWN_BLOCK", "500ms", "sidecar.shutdown_block", 0.5),
        ("PANNIER_ELECTION_LEASE_DURATION", "1m", "election.lease_duration", 60.0),
        ("PANNIER_RECONCILING_EVICTS_MISSED_PODS", "true", "reconciling.evicts_missed_pods", True),
        ("PANNIER_RECONCILING_EVICTIONS_PER_MINUTE", "3", "reconciling.evictions_per_minute", 3),
        ("PANNIER_OBSERVING_LOG_LEVEL", "debug", "observing.log_level", "debug"),
    ],
)
def test_a_variable_sets_its_field(variable: str, text: str, path: str, value: object) -> None:
    group, _, name = path.partition(".")
    assert getattr(getattr(from_environment({variable: text}), group), name) == value


@each_row(
    ("variable", "text", "advice"),
    [
        ("PANNIER_WEBHOOK_LISTEN_PORT", "tcp://10.96.0.7:443", "write a port from 1 to 65535"),
        ("PANNIER_OBSERVING_METRICS_PORT", "0", "write a port from 1 to 65535"),
        ("PANNIER_CERTIFICATE_LIFETIME", "90d", "write a duration, such as 90s, 10m or 2160h"),
        ("PANNIER_CERTIFICATE_LIFETIME", "-1h", "write a duration, such as 90s, 10m or 2160h"),
        ("PANNIER_SIDECAR_CPU_REQUEST", "half", "write a quantity such as 20m or 64Mi, or none"),
        ("PANNIER_SIDECAR_RUN_AS_USER", "0", "write a whole number from 1 on, or none"),
        ("PANNIER_SIDECAR_NATIVE", "maybe", "write auto, always or never"),
        ("PANNIER_SIDECAR_IMAGE_PULL_POLICY", "never", "write Always, IfNotPresent or Never"),
        ("PANNIER_RECONCILING_EVICTS_MISSED_PODS", "sometimes", "write true or false"),
        ("PANNIER_RECONCILING_EVICTIONS_PER_MINUTE", "-1", "write a whole number"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named_with_what_to_write(variable: str, text: str, advice: str) -> None:
    with pytest.raises(SettingsError) as raised:
        from_environment({variable: text})
    assert str(raised.value) == f"{variable}: {text!r} can't be used; {advice}"


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {"PANNIER_ELECTION_RENEW_INTERVAL": "20s"},
            "PANNIER_ELECTION_RENEW_INTERVAL must be shorter than PANNIER_ELECTION_LEASE_DURATION; write 10s and 15s",
        ),
        ({"PANNIER_SIDECAR_MEMORY_LIMIT": "16Mi"}, "PANNIER_SIDECAR_MEMORY_REQUEST (32Mi) is more than"),
        ({"PANNIER_SIDECAR_CPU_LIMIT": "5m"}, "PANNIER_SIDECAR_CPU_REQUEST (10m) is more than"),
        ({"PANNIER_CERTIFICATE_LIFETIME": "5s"}, "PANNIER_CERTIFICATE_LIFETIME is too short"),
        ({"PANNIER_CERTIFICATE_AUTHORITY_LIFETIME": "100h"}, "PANNIER_CERTIFICATE_AUTHORITY_LIFETIME must be three"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(environment: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        from_environment(environment)
    assert str(raised.value).startswith(said)


def test_everything_that_is_wrong_is_reported_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        from_environment({"PANNIER_SIDECAR_NATIVE": "x", "PANNIER_SIDECAR_PROFILE": "y"})
    assert len(str(raised.value).splitlines()) == 2


def test_variables_that_kubernetes_makes_for_our_services_are_left_alone() -> None:
    made = {
        "PANNIER_OPERATOR_SERVICE_HOST": "10.96.0.7",
        "PANNIER_OPERATOR_SERVICE_PORT": "443",
        "PANNIER_OPERATOR_PORT": "tcp://10.96.0.7:443",
        "PANNIER_WEBHOOK_PORT": "tcp://10.96.0.8:443",
        "PANNIER_PORT_443_TCP_ADDR": "10.96.0.7",
    }
    assert from_environment(made) == OperatorSettings()


def test_settings_never_change() -> None:
    settings: Any = OperatorSettings()
    with pytest.raises(FrozenInstanceError):
        settings.sidecar.image = "other"


def test_every_default_can_be_written_as_text() -> None:
    """A default that its own parser refuses could not be written into the chart's values."""
    for group in fields(OperatorSettings):
        assert is_dataclass(group.default)
        for declared in fields(group.default):
            assert callable(declared.metadata["read"]), f"{group.name}.{declared.name}"


def test_the_environment_is_read_as_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANNIER_SIDECAR_PROFILE", "dapr")
    environment = read_environment()
    monkeypatch.setenv("PANNIER_SIDECAR_PROFILE", "spec")
    assert from_environment(environment).sidecar.profile == "dapr"
