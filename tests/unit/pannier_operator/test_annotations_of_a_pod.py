"""Annotations: how each is spelt, and the warnings about those without effect."""

from dataclasses import fields

import pytest
from unit.tables import each_row

from pannier_operator.injection.annotation_values import Mount, Variable
from pannier_operator.injection.annotations import ACCEPTED, HONOURED, OLDER, ProbeOptions, SidecarOptions, read


def test_without_annotations_everything_has_its_default() -> None:
    assert read({}) == (SidecarOptions(), [])


@each_row("text", ["true", "True", "TRUE", "yes", "y", "on", "1", "t", " true "])
def test_every_spelling_of_truth_enables(text: str) -> None:
    options, warnings = read({"dapr.io/enabled": text})
    assert options.is_enabled
    assert warnings == []


@pytest.mark.parametrize("text", ["false", "no", "0", "off", "", " "])
def test_every_spelling_of_falsehood_does_not(text: str) -> None:
    assert read({"dapr.io/enabled": text}) == (SidecarOptions(), [])


@each_row(
    ("name", "text", "option", "value"),
    [
        ("app-id", " orders ", "app_id", "orders"),
        ("app-port", "8000", "app_port", 8000),
        ("app-port", "0", "app_port", None),
        ("app-port", "-1", "app_port", None),
        ("app-protocol", "GRPC", "app_protocol", "grpc"),
        ("config", "tracing", "config", "tracing"),
        ("log-level", "Warning", "log_level", "warn"),
        ("log-as-json", "true", "log_as_json", True),
        ("log-as-json", "no", "log_as_json", False),
        ("enable-api-logging", "1", "logs_api_calls", True),
        ("api-token-secret", "my-token", "api_token_secret", "my-token"),
        ("grpc-port", "50002", "grpc_port", 50002),
        ("metrics-port", "9091", "metrics_port", 9091),
        ("enable-metrics", "false", "has_metrics", False),
        ("sidecar-listen-addresses", "[::1],127.0.0.1", "listen_addresses", "[::1],127.0.0.1"),
        ("sidecar-image", "example/pannier:1@sha256:ab", "image", "example/pannier:1@sha256:ab"),
        ("sidecar-cpu-request", "0.5", "cpu_request", "0.5"),
        ("sidecar-memory-limit", "1e9", "memory_limit", "1e9"),
        ("sidecar-seccomp-profile-type", "Unconfined", "seccomp_profile", "Unconfined"),
        ("max-body-size", "16Mi", "max_body_size", "16Mi"),
        ("http-max-request-size", "16", "max_body_size", "16Mi"),
        ("http-max-request-size", "-1", "max_body_size", ""),
        ("read-buffer-size", "65536", "read_buffer_size", "65536"),
        ("http-read-buffer-size", "64", "read_buffer_size", "64Ki"),
        ("graceful-shutdown-seconds", "-1", "graceful_shutdown", None),
        ("graceful-shutdown-seconds", "0", "graceful_shutdown", 0),
        ("block-shutdown-duration", "1m30s", "shutdown_block", 90.0),
        ("block-shutdown-duration", "7", "shutdown_block", 7.0),
        ("unix-domain-socket-path", "/tmp", "unix_socket_path", "/tmp"),
        ("enable-native-sidecar", "false", "is_native", False),
        ("sidecar-liveness-probe-period-seconds", "7", "liveness", ProbeOptions(period=7)),
        ("sidecar-readiness-probe-delay-seconds", "0", "readiness", ProbeOptions(delay=0)),
        (
            "env",
            "A=1, B = x=y ,C=,D=a,b,c",
            "variables",
            (Variable("A", "1"), Variable("B", "x=y"), Variable("C", ""), Variable("D", "a,b,c")),
        ),
        (
            "env-from-secret",
            "A=redis:password, B=redis",
            "secret_variables",
            (Variable("A", secret="redis", key="password"), Variable("B", secret="redis", key="redis")),
        ),
        ("volume-mounts", "a:/x, b:/y/z", "mounts", (Mount("a", "/x", True), Mount("b", "/y/z", True))),
        ("volume-mounts-rw", "a:/x", "writable_mounts", (Mount("a", "/x", False),)),
    ],
)
def test_an_annotation_fills_its_option(name: str, text: str, option: str, value: object) -> None:
    options, warnings = read({f"dapr.io/{name}": text})
    assert getattr(options, option) == value
    assert warnings == []


@each_row(
    ("name", "text", "advice"),
    [
        ("dapr.io/app-port", "http", "write a port from 1 to 65535"),
        ("dapr.io/app-port", "70000", "write a port from 1 to 65535"),
        ("dapr.io/app-port", "٨٠", "write a port from 1 to 65535"),
        ("dapr.io/app-protocol", "tcp", "write http, grpc, https, grpcs or h2c"),
        ("dapr.io/metrics-port", "0", "write a port from 1 to 65535"),
        ("dapr.io/log-as-json", "json", 'write "true" or "false"'),
        ("dapr.io/log-level", "loud", "write debug, info, warn, error or fatal"),
        ("dapr.io/api-token-secret", "My Token", "write the name of a Secret"),
        ("dapr.io/sidecar-image", "a b", "write an image without spaces, such as registry/name:tag"),
        ("dapr.io/sidecar-cpu-limit", "half", "write a quantity, such as 100m for CPU or 64Mi for memory"),
        ("dapr.io/sidecar-cpu-limit", "-1", "write a quantity, such as 100m for CPU or 64Mi for memory"),
        ("dapr.io/sidecar-seccomp-profile-type", "Localhost", "write RuntimeDefault or Unconfined"),
        ("dapr.io/max-body-size", "4 MB", "write a size below 2Gi, such as 4Mi or 512Ki"),
        ("dapr.io/max-body-size", "4Gi", "write a size below 2Gi, such as 4Mi or 512Ki"),
        ("dapr.io/http-max-request-size", "4Mi", "write a number of megabytes, such as 4"),
        ("dapr.io/http-read-buffer-size", "0", "write a number of kilobytes, such as 4"),
        ("dapr.io/graceful-shutdown-seconds", "5s", "write a whole number from 0 on"),
        ("dapr.io/sidecar-liveness-probe-threshold", "0", "write a whole number from 1 on"),
        ("dapr.io/block-shutdown-duration", "soon", "write a duration of a day at most, such as 5s or 1m30s"),
        ("dapr.io/block-shutdown-duration", "48h", "write a duration of a day at most, such as 5s or 1m30s"),
        ("dapr.io/sidecar-listen-addresses", " , ", "write addresses such as [::1],127.0.0.1"),
        ("dapr.io/unix-domain-socket-path", "sockets", "write a folder from the root, such as /var/run/dapr"),
        ("dapr.io/env", "1A=x", "write NAME=value,OTHER=value"),
        ("dapr.io/env", "just-a-word", "write NAME=value,OTHER=value"),
        ("dapr.io/env-from-secret", "A=", "write NAME=secret:key,OTHER=secret:key"),
        ("dapr.io/volume-mounts", "data", "write volume:/path,other:/path"),
        ("dapr.io/volume-mounts-rw", "data:relative", "write volume:/path,other:/path"),
        ("pannier.dev/profile", "layotto", "write spec or dapr"),
    ],
)
def test_a_malformed_annotation_has_no_effect_and_a_warning_with_the_right_form(
    name: str, text: str, advice: str
) -> None:
    assert read({name: text}) == (
        SidecarOptions(),
        [f"annotation {name}: '{text.strip()}' has no effect; {advice}"],
    )


def test_a_misspelt_boolean_warns_that_no_sidecar_is_injected() -> None:
    assert read({"dapr.io/enabled": "ture"})[1] == [
        "annotation dapr.io/enabled: 'ture' is neither true nor false, so no sidecar is injected; "
        'write "true" or "false"'
    ]


@each_row(
    ("name", "meant"),
    [
        ("dapr.io/id", "dapr.io/app-id"),
        ("dapr.io/port", "dapr.io/app-port"),
        ("dapr.io/enable", "dapr.io/enabled"),
        ("dapr.io/Enabled", "dapr.io/enabled"),
        ("dapr.io/appid", "dapr.io/app-id"),
        ("dapr.io/app_port", "dapr.io/app-port"),
        ("dapr.io/sidecar-memory-limits", "dapr.io/sidecar-memory-limit"),
        ("dapr.io/volumes-mounts", "dapr.io/volume-mounts"),
        ("pannier.dev/enabled", "dapr.io/enabled"),
        ("dapr.io/profile", "pannier.dev/profile"),
    ],
)
def test_an_unknown_annotation_warns_and_names_the_one_meant(name: str, meant: str) -> None:
    assert read({name: "true"}) == (
        SidecarOptions(),
        [f"annotation {name} is unknown and has no effect; did you mean {meant}?"],
    )


def test_an_unknown_annotation_without_a_similar_name_only_warns() -> None:
    assert read({"dapr.io/xylophone": ""})[1] == [
        "annotation dapr.io/xylophone is unknown and has no effect; remove it or correct its name"
    ]


def test_annotations_of_others_are_left_alone() -> None:
    assert read({"prometheus.io/port": "x", "notdapr.io/enabled": "x", "dapr.io": "x"}) == (SidecarOptions(), [])


@each_row("name", [annotation.name for annotation in ACCEPTED])
def test_annotations_without_a_meaning_here_are_accepted_silently(name: str) -> None:
    assert read({name: "any text at all"}) == (SidecarOptions(), [])


def test_the_newer_spelling_of_a_size_wins_over_the_older_one() -> None:
    options, _ = read({"dapr.io/max-body-size": "1Mi", "dapr.io/http-max-request-size": "9"})
    assert options.max_body_size == "1Mi"


def test_a_malformed_newer_spelling_leaves_the_older_one() -> None:
    options, warnings = read({"dapr.io/max-body-size": "much", "dapr.io/http-max-request-size": "9"})
    assert options.max_body_size == "9Mi"
    assert len(warnings) == 1


def test_all_mistakes_are_reported_at_once() -> None:
    assert len(read({"dapr.io/app-port": "x", "dapr.io/log-level": "x", "dapr.io/nonsense": "x"})[1]) == 3


def test_every_option_has_an_annotation_and_every_annotation_an_option() -> None:
    filled = {annotation.option.partition(".")[0] for annotation in (*OLDER, *HONOURED)}
    assert filled == {option.name for option in fields(SidecarOptions)}


def test_no_annotation_is_there_twice() -> None:
    names = [annotation.name for annotation in (*OLDER, *HONOURED, *ACCEPTED)]
    assert len(names) == len(set(names))
