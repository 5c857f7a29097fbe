"""Errors over HTTP: each has its status, its code, a message that says what to do, and Dapr's details."""

import json
from typing import Any

import pytest
from scenarios.http_client import HttpClient, path

SAVE = path("statestore")
TYPE = "type.googleapis.com/google.rpc."


def info(reason: str, metadata: dict[str, str] | None) -> dict[str, Any]:
    return {"@type": TYPE + "ErrorInfo", "domain": "dapr.io", "metadata": metadata, "reason": reason}


def resource(name: str) -> dict[str, Any]:
    names = {"description": "", "owner": "", "resource_name": name, "resource_type": "state"}
    return {"@type": TYPE + "ResourceInfo", **names}


# --- the rows of the table --------------------------------------------------------------------------------------------


def test_a_store_that_is_not_there(http: HttpClient) -> None:
    answer = http.call("GET", path("nowhere", "k"))
    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert list(answer.json) == ["errorCode", "message", "details"]
    assert answer.json["errorCode"] == "ERR_STATE_STORE_NOT_FOUND"
    assert answer.json["message"].startswith("state store nowhere is not found; ")
    assert answer.json["details"] == [info("DAPR_STATE_NOT_FOUND", {"appID": "shop"})]
    assert not answer.body.endswith(b"\n")


def test_a_key_with_the_separator_is_refused(http: HttpClient) -> None:
    answer = http.call("POST", SAVE, '[{"key": "a||b"}]')
    text = "input key/keyPrefix 'a||b' can't contain '||'"
    assert (answer.status, answer.json["errorCode"]) == (400, "ERR_MALFORMED_REQUEST")
    assert answer.json["message"].startswith(text)
    violation = {"@type": TYPE + "BadRequest", "field_violations": [{"description": text, "field": "a||b"}]}
    assert answer.json["details"] == [violation, resource("statestore"), info("DAPR_STATE_ILLEGAL_KEY", None)]


def test_a_query_that_cannot_be_read_is_refused(http: HttpClient) -> None:
    answer = http.call("POST", "/v1.0-alpha1/state/statestore/query", '{"filter": {"LIKE": {"a": "b"}}}')
    assert (answer.status, answer.json["errorCode"]) == (400, "ERR_STATE_QUERY")
    assert answer.json["message"] == (
        "state store statestore query failed: failed to parse JSON query body: $.filter.LIKE is no operator; "
        "write one of EQ, NEQ, GT, GTE, LT, LTE, IN, AND, OR, in capitals"
    )
    assert answer.json["details"] == [resource("statestore"), info("DAPR_STATE_QUERY_FAILED", None)]


def test_a_store_that_is_not_ready(http: HttpClient) -> None:
    answer = http.call("GET", path("away", "k"))
    assert (answer.status, answer.json["errorCode"]) == (503, "ERR_STATE_STORE_NOT_READY")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("call", "code", "message"),
    [
        (
            ("POST", SAVE, '[{"key": "k", "etag": "1"}]'),
            "ERR_STATE_SAVE",
            "failed saving state in state store statestore",
        ),
        (("DELETE", path("statestore", "k"), None), "ERR_STATE_DELETE", "failed deleting state with key k"),
        (
            ("POST", SAVE + "/transaction", '{"operations":[{"operation":"delete","request":{"key":"k","etag":"1"}}]}'),
            "ERR_STATE_TRANSACTION",
            "error while executing state transaction",
        ),
        (
            ("POST", "/v1.0/actors/a/1/state", '[{"operation":"delete","request":{"key":"k","etag":"1"}}]'),
            "ERR_ACTOR_STATE_TRANSACTION_SAVE",
            "error saving actor transaction state",
        ),
    ],
    ids=["save", "delete", "transaction", "actor"],
)
def test_an_etag_that_is_not_the_current_one(http: HttpClient, call: Any, code: str, message: str) -> None:
    answer = http.call(*call, If_Match="1")
    assert answer.status == 409
    assert list(answer.json) == ["errorCode", "message"]
    assert answer.json["errorCode"] == code
    assert answer.json["message"].startswith(f"{message}: possible etag mismatch. error from state store")


# --- bodies that cannot be read ---------------------------------------------------------------------------------------

BROKEN_SAVES = {
    "": "",
    "{}": "array",
    "foobar": "",
    '"text"': "",
    "null": "array",
    "[{}]": '"key" is a required field',
    '[{"value": 1}]': '"key" is a required field - at `$[0]`',
    '[{"key": "a"}, {"key": ""}]': '"key" is a required field - at `$[1]`',
    '[{"key": 1}]': "$[0].key",
    '[{"key": "a"},]': "trailing comma",
    '[{"key": "a", "value": 01}]': "",
    '[{"key": "a", "value": NaN}]': "",
    '[{"key": "a", "value": "\\ud8"}]': "",
    '[{"key": "a", "etag": 1.5}]': "$[0].etag",
    '[{"key": "a", "etag": []}]': "$[0].etag",
    '[{"key": "a", "metadata": []}]': "$[0].metadata",
    '[{"key": "a", "metadata": {"x": {}}}]': "$[0].metadata",
    '[{"key": "a", "options": "strong"}]': "$[0].options",
    '[{"key": "a", "options": {"consistency": "weak"}}]': "unrecognized consistency model 'weak' - at `$[0]`",
    '[{"key": "a", "options": {"retryPolicy": {"interval": "soon"}}}]': "$[0].options.retryPolicy.interval",
    '[{"key": "a", "options": {"retryPolicy": {"threshold": 1000}}}]': "retry threshold is 1000 - at `$[0]`",
    '[{"key": "a"}] x': "",
    '"\\ud800"': "",
    "[" * 100_000: "",
    '[{"key": "a", "value": ' + "[" * 100_000 + "]" * 100_000 + "}]": "nested too deeply",
}


def test_a_save_that_cannot_be_read_is_refused_where_it_is_wrong(http: HttpClient, subtests: pytest.Subtests) -> None:
    for body, named in BROKEN_SAVES.items():
        with subtests.test(body=body[:60]):
            answer = http.call("POST", SAVE, body)
            assert (answer.status, answer.json["errorCode"]) == (400, "ERR_MALFORMED_REQUEST")
            assert named in answer.json["message"]
            assert http.call("GET", path("statestore", "a")).status == 204


@pytest.mark.parametrize(
    "body", [b'[{"key": "\xff"}]', b'[{"key": "a", "value": "\xff"}]', b"\xff\xfe[]", b'[{"key": "\xed\xa0\x80"}]']
)
def test_a_body_that_is_no_utf_8_is_refused(http: HttpClient, body: bytes) -> None:
    answer = http.call("POST", SAVE, body)
    assert (answer.status, answer.json["errorCode"]) == (400, "ERR_MALFORMED_REQUEST")
    assert "UTF-8" in answer.json["message"]


@pytest.mark.parametrize("target", ["/v1.0/state/statestore/bulk", "/v1.0/state/statestore/transaction"])
def test_other_bodies_that_cannot_be_read_are_refused(http: HttpClient, target: str, subtests: pytest.Subtests) -> None:
    for body in ("", "[]", "x", '{"keys": 1, "operations": 1}', '{"keys": [1], "operations": [1]}'):
        with subtests.test(body=body):
            answer = http.call("POST", target, body)
            assert (answer.status, answer.json["errorCode"]) == (400, "ERR_MALFORMED_REQUEST")
            assert answer.json["message"].startswith("failed deserializing HTTP body: ")


def test_a_missing_store_is_reported_before_a_broken_body(http: HttpClient) -> None:
    for target in (path("nowhere"), path("nowhere", "bulk"), path("nowhere", "transaction")):
        assert http.call("POST", target, "broken").json["errorCode"] == "ERR_STATE_STORE_NOT_FOUND"


# --- requests that are no calls ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/", "/v1.0", "/v1.0/", "/v2.0/state/statestore/k", "/v1.0/invoke/app/method/x"])
def test_an_unknown_path_is_not_found(http: HttpClient, target: str) -> None:
    answer = http.call("GET", target)
    assert (answer.status, answer.json["errorCode"]) == (404, "ERR_NOT_FOUND")
    assert "/v1.0/state/{store}/{key}" in answer.json["message"]


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("POST", "/v1.0/state/statestore/k", "DELETE, GET"),
        ("DELETE", "/v1.0/metadata", "GET"),
        ("GET", "/v1.0/shutdown", "POST"),
        ("DELETE", "/v1.0/actors/a/1/state", "POST, PUT"),
    ],
)
def test_a_method_that_a_path_does_not_know_is_refused(
    http: HttpClient, method: str, target: str, allowed: str
) -> None:
    answer = http.call(method, target)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)
    assert allowed in answer.json["message"]


# --- profile dapr -----------------------------------------------------------------------------------------------------


def test_profile_dapr_answers_with_its_own_statuses(dapr: HttpClient, key: str) -> None:
    body = json.dumps([{"key": key, "value": 1}])
    stale = json.dumps({"operations": [{"operation": "delete", "request": {"key": key, "etag": "4711"}}]})
    assert dapr.call("POST", SAVE, body).status == 204
    assert dapr.call("POST", SAVE, json.dumps([{"key": key, "etag": "4711"}])).status == 409
    assert dapr.call("DELETE", path("statestore", key), If_Match="4711").status == 409
    assert dapr.call("POST", SAVE + "/transaction", stale).status == 500
    assert dapr.call("DELETE", path("statestore", key)).status == 204
    assert dapr.call("POST", "/v1.0-alpha1/state/statestore/query", "[]").status == 500
    assert dapr.call("GET", path("nowhere", key)).status == 400


@pytest.mark.parametrize(
    "body", ['[{"key": "k", "etag": 1}]', '[{"key": "k", "metadata": {"ttlInSeconds": 1}}]', '"[{\\"key\\": \\"k\\"}]"']
)
def test_profile_dapr_takes_texts_for_texts_alone(dapr: HttpClient, body: str) -> None:
    answer = dapr.call("POST", SAVE, body)
    assert (answer.status, answer.json["errorCode"]) == (400, "ERR_MALFORMED_REQUEST")


@pytest.mark.parametrize(
    ("method", "target"),
    [("PATCH", "/v1.0/state/statestore/k"), ("GET", "/"), ("GET", "/x/y"), ("GET", "/v1.0/state/statestore/")],
)
def test_profile_dapr_treats_an_unknown_path_as_a_call_to_an_app(dapr: HttpClient, method: str, target: str) -> None:
    answer = dapr.call(method, target)
    assert (answer.status, answer.json["errorCode"]) == (404, "ERR_DIRECT_INVOKE")
    assert answer.json["message"] == "failed getting app id either from the URL path or the header dapr-app-id"
    assert "/v1.0/state/{store}/{key}" in answer.json["details"][0]["metadata"]["advice"]


def test_profile_dapr_tidies_paths(dapr: HttpClient, http: HttpClient, key: str) -> None:
    dapr.call("POST", "//v1.0/state/statestore/", json.dumps([{"key": key, "value": 1}]))
    assert dapr.call("GET", f"//v1.0/./state//x/../statestore/{key}/").body == b"1"
    assert http.call("GET", f"//v1.0/state/statestore/{key}").status == 404


def test_profile_dapr_reads_a_plus_in_a_path_as_a_space(dapr: HttpClient, http: HttpClient, key: str) -> None:
    for client, name in ((dapr, f"{key}a b"), (http, f"{key}a+b")):
        client.call("POST", SAVE, json.dumps([{"key": name, "value": 1}]))
        assert client.call("GET", f"/v1.0/state/statestore/{key}a+b").body == b"1"


# --- requests that are nearly right -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target", "meant"),
    [
        ("GET", "/v1.0/state/statestore/a/b", "/v1.0/state/statestore/a%2Fb"),
        ("DELETE", "/v1.0/state/statestore/a/b/c%20d", "/v1.0/state/statestore/a%2Fb%2Fc%20d"),
        ("GET", "/v1.0/actors/cat/tom/state/a/b", "/v1.0/actors/cat/tom/state/a%2Fb"),
    ],
)
def test_a_key_with_a_slash_gets_advice(http: HttpClient, method: str, target: str, meant: str) -> None:
    answer = http.call(method, target)
    assert answer.status == 404
    assert answer.json["message"].endswith(f"a slash within a key is written %2F: {meant}")
    assert http.call(method, meant).status in (200, 204)


@pytest.mark.parametrize("etag", ['"{}"', 'W/"{}"'])
def test_an_etag_in_quotes_gets_the_advice_to_remove_them(http: HttpClient, key: str, etag: str) -> None:
    http.call("POST", SAVE, json.dumps([{"key": key, "value": 1}]))
    current = http.call("GET", path("statestore", key)).headers["etag"]
    refused = http.call("DELETE", path("statestore", key), If_Match=etag.format(current))
    assert (refused.status, refused.json["errorCode"]) == (409, "ERR_STATE_DELETE")
    assert refused.json["message"].endswith(f"ETags have no quotes here: write If-Match: {current}")
    assert http.call("DELETE", path("statestore", key), If_Match=current).status == 200
