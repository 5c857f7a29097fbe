"""Command lines are read as Go's pflag reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.tables import each_row

from pannier_sidecar.cli.flags import EVERY_FLAG, INSTEAD, WITHOUT_EFFECT
from pannier_sidecar.cli.parsing import UsageError, parse
from pannier_sidecar.settings import Settings, SettingsError, check, from_environment


@pytest.mark.parametrize(
    "arguments",
    [
        ["--app-id", "shop"],
        ["--app-id=shop"],
        ["-app-id", "shop"],
        ["-app-id=shop"],
        ["--app-id", "x", "--app-id=shop"],
    ],
)
def test_a_value_follows_a_flag_or_is_joined_by_an_equals_sign(arguments):
    assert parse(arguments).changes == {"app.id": "shop"}


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (["--log-as-json"], True),
        (["--log-as-json=false"], False),
        (["--log-as-json=0"], False),
        (["--log-as-json=T"], True),
    ],
)
def test_a_boolean_may_stand_alone(arguments, value):
    assert parse(arguments).changes == {"log.as_json": value}


def test_the_word_after_a_bare_boolean_is_not_its_value():
    with pytest.raises(UsageError, match="unexpected 'false'"):
        parse(["--log-as-json", "false"])


def test_two_dashes_end_the_flags():
    parsed = parse(["--app-id", "a", "--", "python", "--app-id", "b"])
    assert parsed.command == ["python", "--app-id", "b"]
    assert parsed.changes == {"app.id": "a"}


def test_folders_may_be_given_several_times_or_separated_by_commas():
    parsed = parse(["--resources-path", "a,b", "--components=c"])
    assert parsed.changes["components.folders"] == (Path("a"), Path("b"), Path("c"))


def test_an_empty_value_is_the_default():
    assert parse(["--dapr-http-port=", "--app-port", ""]).changes == {}


@each_row(
    ("flag", "text", "setting", "value"),
    [
        ("dapr-http-port", "3600", "listen.http_port", 3600),
        ("http-port", "0", "listen.http_port", 0),
        ("app-port", "-1", None, None),
        ("dapr-listen-addresses", "[::1],127.0.0.1", "listen.addresses", ("::1", "127.0.0.1")),
        ("max-body-size", "4Mi", "limits.max_body_size", 4 * 2**20),
        ("max-body-size", "1.5M", "limits.max_body_size", 1_500_000),
        ("max-body-size", "4096", "limits.max_body_size", 4096),
        ("read-buffer-size", "8Ki", "limits.read_buffer_size", 8192),
        ("dapr-http-max-request-size", "8", "limits.max_body_size", 8 * 2**20),
        ("dapr-http-max-request-size", "-1", None, None),
        ("dapr-http-read-buffer-size", "8", "limits.read_buffer_size", 8192),
        ("dapr-graceful-shutdown-seconds", "12", "stop.graceful", 12.0),
        ("dapr-graceful-shutdown-seconds", "-1", None, None),
        ("dapr-block-shutdown-duration", "1m30s", "stop.block", 90.0),
        ("log-level", "WARNING", "log.level", "warn"),
        ("mode", "kubernetes", "place.mode", "kubernetes"),
        ("unix-domain-socket", "/tmp/s", "listen.unix_socket_folder", Path("/tmp/s")),
    ],
)
def test_texts_become_values(flag, text, setting, value):
    assert parse([f"--{flag}={text}"]).changes == ({} if setting is None else {setting: value})


@each_row(
    ("flag", "text"),
    [
        ("http-port", "65536"),
        ("http-port", "-1"),
        ("http-port", "\u0663"),
        ("max-body-size", "4MiB"),
        ("max-body-size", "0"),
        ("max-body-size", "9Ti"),
        ("read-buffer-size", "a lot"),
        ("dapr-http-max-request-size", "4Mi"),
        ("dapr-graceful-shutdown-seconds", "5s"),
        ("dapr-block-shutdown-duration", "-5s"),
        ("log-level", "loud"),
        ("log-as-json", "maybe"),
        ("mode", "cloud"),
        ("profile", "layotto"),
        ("listen-addresses", ","),
    ],
)
def test_an_invalid_value_is_refused_with_the_flag_and_advice(flag, text):
    with pytest.raises(UsageError, match=rf"^--{flag}: .* can't be used; write "):
        parse([f"--{flag}={text}"])


def test_daprds_flags_without_effect_are_taken_and_listed():
    parsed = parse(["--kubeconfig", "x", "--enable-mtls", "--placement-host-address=a:1"])
    assert parsed.without_effect == ["kubeconfig", "enable-mtls", "placement-host-address"]
    assert parsed.changes == {}


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["--version"], "version"),
        (["-build-info"], "version"),
        (["--wait", "--dapr-http-port", "1"], "wait"),
        (["--wait=false", "--app-id", "a"], ""),
    ],
)
def test_some_of_daprds_flags_ask_for_something_other_than_serving(arguments, asked):
    assert parse(arguments).asks == asked


def test_an_unknown_flag_gets_the_closest_known_one():
    with pytest.raises(UsageError, match=r"no flag --dapr-htp-port; did you mean --dapr-http-port\?"):
        parse(["--dapr-htp-port", "1"])


def test_a_missing_value_is_reported():
    with pytest.raises(UsageError, match="--app-id needs a value: write --app-id NAME"):
        parse(["--app-id"])
    with pytest.raises(UsageError, match="--app-id needs a value"):
        parse(["--app-id", "--", "x"])


def test_no_two_flags_share_a_name():
    names = [name for flag in EVERY_FLAG for name in flag.names]
    assert len(names) == len(set(names))


def test_every_flag_fills_a_setting_that_exists_or_is_said_to_have_no_effect():
    for flag in EVERY_FLAG:
        if flag in WITHOUT_EFFECT or flag in INSTEAD:
            assert not flag.setting
            continue
        part: object = Settings()
        for name in flag.setting.split("."):
            part = getattr(part, name)


def test_a_flag_overrides_the_environment_which_overrides_the_default_of_a_verb():
    environment = {"APP_ID": "from-environment", "DAPR_API_TOKEN": "t", "NAMESPACE": "red", "POD_NAME": "pod"}
    settings = from_environment(environment, {"app.id": "default"})
    assert (settings.app.id, settings.api_token) == ("from-environment", "t")
    assert (settings.place.namespace, settings.place.pod_name) == ("red", "pod")
    assert settings.changed(parse(["--app-id", "flag"]).changes).app.id == "flag"
    assert from_environment({}, {"app.id": "default"}).app.id == "default"


def test_the_data_folder_is_where_xdg_says():
    assert from_environment({"XDG_DATA_HOME": "/x", "HOME": "/h"}).place.data_folder == Path("/x/pannier")
    assert from_environment({"XDG_DATA_HOME": "x", "HOME": "/h"}).place.data_folder == Path("/h/.local/share/pannier")


def test_settings_do_not_show_secrets():
    settings = from_environment({"DAPR_API_TOKEN": "s3cret", "PASSWORD": "s3cret"})
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize("app_id", ["", "a||b", "a\nb"])
def test_an_app_id_that_no_key_can_hold_is_refused(app_id):
    with pytest.raises(SettingsError, match="--app-id"):
        check(Settings().changed({"app.id": app_id}))
