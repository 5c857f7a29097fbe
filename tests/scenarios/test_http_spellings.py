"""The many ways in which clients write the same request."""

import json

import pytest
from scenarios.http_client import HttpClient, path

SAVE = path("statestore")


def current(http: HttpClient, key: str) -> bytes:
    return http.call("GET", path("statestore", key)).body


# --- where request defaults may be ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["query", "header", "option"])
def test_a_save_takes_concurrency_from_everywhere(http: HttpClient, key: str, how: str) -> None:
    def first_write(value: int) -> int:
        item: dict[str, object] = {"key": key, "value": value}
        if how == "option":
            item["options"] = {"concurrency": "first-write"}
        query = "?concurrency=first-write" if how == "query" else ""
        headers = {"concurrency": "first-write"} if how == "header" else {}
        return http.call("POST", SAVE + query, json.dumps([item]), **headers).status

    assert [first_write(1), first_write(2)] == [201, 409]
    assert current(http, key) == b"1"


@pytest.mark.parametrize("how", ["query", "header"])
def test_a_delete_takes_concurrency_from_everywhere(http: HttpClient, key: str, how: str) -> None:
    http.call("POST", SAVE, json.dumps([{"key": key, "value": 1}]))
    for word, status in (("first-write", 409), ("last-write", 200)):
        query = f"?concurrency={word}" if how == "query" else ""
        headers = {"concurrency": word} if how == "header" else {}
        assert http.call("DELETE", path("statestore", key) + query, **headers).status == status


def test_options_nearer_to_the_item_win(http: HttpClient, key: str) -> None:
    """Options before the query, the query before headers."""
    body = json.dumps([{"key": key, "value": 1}])
    assert http.call("POST", SAVE, body).status == 201
    assert http.call("POST", SAVE + "?concurrency=last-write", body, concurrency="first-write").status == 201
    body = json.dumps([{"key": key, "value": 2, "options": {"concurrency": "last-write"}}])
    assert http.call("POST", SAVE + "?concurrency=first-write", body).status == 201
    assert current(http, key) == b"2"


@pytest.mark.parametrize(
    ("query", "headers", "named"),
    [
        ("?consistency=weak", {}, "unrecognized consistency model 'weak'"),
        ("?concurrency=none", {}, "unrecognized concurrency model 'none'"),
        ("", {"consistency": "Strong"}, "unrecognized consistency model 'Strong'"),
        ("?retryPattern=often", {}, "unrecognized retry pattern"),
        ("?retryInterval=soon", {}, "retryInterval is 'soon'"),
        ("?retryThreshold=-1", {}, "retry threshold is -1"),
        ("?retryInterval=1e9", {}, "retryInterval"),
        ("?retryThreshold=1000000", {}, "retry threshold is 1000000"),
    ],
)
def test_an_invalid_request_default_is_refused(
    http: HttpClient, query: str, headers: dict[str, str], named: str
) -> None:
    for method, target, body in (("DELETE", path("statestore", "k"), None), ("POST", SAVE, '[{"key":"k"}]')):
        answer = http.call(method, target + query, body, **headers)
        assert (answer.status, answer.json["errorCode"]) == (400, "ERR_MALFORMED_REQUEST")
        assert named in answer.json["message"]
        assert "write" in answer.json["message"]


def test_if_match_is_the_etag_of_a_delete(http: HttpClient, key: str) -> None:
    http.call("POST", SAVE, json.dumps([{"key": key}]))
    etag = http.call("GET", path("statestore", key)).headers["etag"]
    assert http.call("DELETE", path("statestore", key), If_Match="4711").status == 409
    assert http.call("DELETE", path("statestore", key), If_Match=etag).status == 200
    assert http.call("DELETE", path("statestore", key), If_Match="").status == 200


def test_the_header_etag_is_ignored(http: HttpClient, key: str) -> None:
    """Examples in the specs send it with deletes, but the parameter that the specs describe is If-Match."""
    assert http.call("DELETE", path("statestore", key), ETag="xxxxxxx").status == 200


def test_metadata_may_stand_in_the_query_and_goes_first_there(http: HttpClient, key: str) -> None:
    body = json.dumps([{"key": key, "value": 1, "metadata": {"ttlInSeconds": "-1"}}])
    assert http.call("POST", SAVE + "?metadata.ttlInSeconds=1000", body).status == 201
    assert "metadata.ttlexpiretime" in http.call("GET", path("statestore", key)).headers
    operations = json.dumps({"operations": [{"operation": "upsert", "request": {"key": key, "value": 2}}]})
    assert http.call("POST", SAVE + "/transaction?metadata.ttlInSeconds=1000", operations).status == 204
    assert "metadata.ttlexpiretime" in http.call("GET", path("statestore", key)).headers


# --- how bodies may be written ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_put_does_the_same_as_post(http: HttpClient, key: str, method: str) -> None:
    assert http.call(method, SAVE, json.dumps([{"key": key, "value": 1}])).status == 201
    assert http.call(method, SAVE + "/bulk", json.dumps({"keys": [key]})).json[0]["data"] == 1
    operations = [{"operation": "delete", "request": {"key": key}}]
    assert http.call(method, SAVE + "/transaction", json.dumps({"operations": operations})).status == 204
    assert http.call(method, "/v1.0/actors/cat/1/state", json.dumps(operations)).status == 204


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""])
def test_the_type_of_the_content_makes_no_difference(http: HttpClient, key: str, content_type: str) -> None:
    assert http.call("POST", SAVE, json.dumps([{"key": key}]), Content_Type=content_type).status == 201


def test_names_of_fields_may_be_in_any_case(http: HttpClient, key: str) -> None:
    """Dapr's JSON accepts them in this form."""
    item = {"Key": key, "VALUE": {"Key": [1.10]}, "Options": {"Concurrency": "first-write"}}
    body = json.dumps([item]).replace("1.1", "1.10")
    assert http.call("POST", SAVE, body).status == 201
    assert current(http, key) == b'{"Key": [1.10]}'
    assert http.call("POST", SAVE, body).status == 409
    assert http.call("POST", SAVE + "/bulk", json.dumps({"Keys": [key]})).json[0]["key"] == key
    operations = {"Operations": [{"Operation": "upsert", "Request": {"KEY": key, "Value": 2}}]}
    assert http.call("POST", SAVE + "/transaction", json.dumps(operations)).status == 204
    assert current(http, key) == b"2"
    etag = http.call("GET", path("statestore", key)).headers["etag"]
    for stale in (True, False):
        given = {"key": key, "value": 3, "ETag": "4711" if stale else etag}
        assert http.call("POST", SAVE, json.dumps([given])).status == (409 if stale else 201)


def test_json_in_a_json_string_is_unwrapped(http: HttpClient, key: str) -> None:
    """The guide of the specs posts `json='[...]'`, which sends a string."""
    inner = json.dumps([{"key": key, "value": "ü"}], ensure_ascii=False)
    assert http.call("POST", SAVE, json.dumps(inner)).status == 201
    assert json.loads(current(http, key)) == "ü"
    assert http.call("POST", SAVE, json.dumps("no JSON at all")).status == 400
    assert http.call("POST", SAVE, json.dumps(json.dumps(inner))).status == 400


def test_an_etag_may_be_a_number(http: HttpClient, key: str) -> None:
    http.call("POST", SAVE, json.dumps([{"key": key, "value": 1}]))
    etag = http.call("GET", path("statestore", key)).headers["etag"]
    body = f'[{{"key": "{key}", "value": 2, "etag": %s}}]'
    assert http.call("POST", SAVE, body % etag).status == 201
    assert http.call("POST", SAVE, body % etag).status == 409
    assert http.call("POST", SAVE, body % "123456789012345678901234567890").status in (400, 409)
    assert current(http, key) == b"2"


def test_metadata_may_be_numbers_and_null(http: HttpClient, key: str) -> None:
    body = json.dumps([{"key": key, "metadata": {"ttlInSeconds": 1000, "x": True}, "options": None, "etag": None}])
    assert http.call("POST", SAVE, body).status == 201
    assert "metadata.ttlexpiretime" in http.call("GET", path("statestore", key)).headers


def test_unknown_fields_are_ignored(http: HttpClient, key: str) -> None:
    body = json.dumps([{"key": key, "value": 1, "contentType": "x", "more": {"a": [1]}}])
    assert http.call("POST", SAVE, body).status == 201
    assert http.call("POST", SAVE + "/bulk", json.dumps({"keys": [key], "parallelism": 10, "x": 1})).status == 200


def test_a_path_may_end_with_a_slash_and_repeat_none(http: HttpClient, key: str) -> None:
    assert http.call("POST", SAVE + "/", json.dumps([{"key": key}])).status == 201
    assert http.call("GET", path("statestore", "") + "/" + key).status == 404


def test_parts_of_a_path_may_be_escaped(http: HttpClient, key: str) -> None:
    assert http.call("POST", "/v1.0/state/state%73tore", json.dumps([{"key": key + "ü+ /"}])).status == 201
    assert http.call("GET", f"/v1.0/state/statestore/{key}%C3%BC+%20%2f").status == 200
    for broken in ("%", "%zz", "%f", "%ff", "%C3"):
        answer = http.call("GET", f"/v1.0/state/statestore/{key}{broken}")
        assert answer.status == 400
        assert "failed to unescape request parameter" in answer.json["message"]
