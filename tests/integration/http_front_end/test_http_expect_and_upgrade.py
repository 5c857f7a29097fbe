"""Clients that expect 100 Continue, offer another protocol, or speak an older HTTP."""

import json

import pytest
from integration.http_front_end.http_wire import Gate, chunked, get, request, save, serving, until
from servers.limits import http_limits

from pannier_sidecar.http_api.messages import Answer, Call

ITEM = '[{"key":"k","value":1}]'
EXPECT = "Expect: 100-continue"
JAVA_OFFER = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAA")
"""What Java's HttpClient sends with the first request of each connection."""


async def echo(call: Call) -> Answer:
    """Answer with the request as it was understood."""
    return Answer(200, b"%b %b %b" % (call.method, call.path, call.body), b"text/plain")


# --- Expect: 100-continue ---------------------------------------------------------------------------------------------


async def test_a_client_that_expects_100_continue_gets_it() -> None:
    whole = save(ITEM, EXPECT)
    head = whole[: -len(ITEM)]
    async with serving() as here:
        wire = await here.connect()
        assert (await wire.ask(head)).status == 100
        assert (await wire.ask(ITEM.encode())).status == 201
        assert await wire.is_usable()


async def test_a_client_that_expects_100_continue_but_does_not_wait_is_served() -> None:
    async with serving() as here:
        wire = await here.connect()
        assert (await wire.ask(save(ITEM, EXPECT))).status == 100
        assert (await wire.answer()).status == 201
        assert await wire.is_usable()


async def test_a_client_that_announces_too_large_a_body_is_refused_without_100_continue() -> None:
    async with serving(limits=http_limits(body=10)) as here:
        wire = await here.connect()
        answer = await wire.ask(save(ITEM, EXPECT)[: -len(ITEM)])
        assert (answer.status, answer.closes) == (413, True)
        assert await wire.rest() == b""


@pytest.mark.transport
async def test_a_client_that_expects_100_continue_gets_it_after_the_running_call() -> None:
    gate = Gate()
    async with serving(gate.answer) as here:
        wire = await here.connect()
        await wire.send(get("/first") + request("POST", "/second", b"abc", EXPECT)[:-3])
        await until(lambda: len(gate.calls) == 1, "the first call")
        assert not wire.has_more()
        gate.open()
        assert (await wire.answer()).body == b"/first"
        assert (await wire.answer()).status == 100
        assert (await wire.ask(b"abc")).body == b"/second"
        assert gate.calls[1].body == b"abc"


async def test_a_client_of_http_1_0_gets_no_interim_answer() -> None:
    """A client of HTTP/1.0 does not know interim answers (RFC 9110, 10.1.1)."""
    async with serving() as here:
        wire = await here.connect()
        assert (await wire.ask(save(ITEM, EXPECT).replace(b"HTTP/1.1", b"HTTP/1.0"))).status == 201


# --- bodies in chunks -------------------------------------------------------------------------------------------------


async def test_chunks_with_extensions_and_trailers_make_the_body_and_no_headers() -> None:
    seen: list[Call] = []

    async def answer(call: Call) -> Answer:
        seen.append(call)
        return Answer(200)

    body = b'5;name="a;b"\r\nhello\r\n6;x\r\n world\r\n0\r\nIf-Match: 7\r\nX-Other: y\r\n\r\n'
    async with serving(answer) as here:
        wire = await here.connect()
        for place in range(1, len(body)):
            await wire.send(request("POST", "/", None, "If-Match: 1", "Transfer-Encoding: chunked") + body[:place])
            assert (await wire.ask(body[place:])).status == 200
            call = seen.pop()
            assert call.body == b"hello world"
            assert (call.headers[b"if-match"], b"x-other" in call.headers) == (b"1", False), place


async def test_requests_behind_a_chunked_one_are_answered() -> None:
    async with serving(echo) as here:
        wire = await here.connect()
        one = request("POST", "/a", None, "Transfer-Encoding: chunked") + chunked(b"x", b"y", trailer=b"t: 1\r\n")
        await wire.send(one * 3 + get("/b"))
        assert [(await wire.answer()).body for _ in range(4)] == [b"POST /a xy"] * 3 + [b"GET /b "]


# --- offers of another protocol ---------------------------------------------------------------------------------------


async def test_an_offer_of_http_2_is_declined_by_an_answer_in_http_1_1() -> None:
    async with serving(echo) as here:
        wire = await here.connect()
        assert (await wire.ask(get("/a", *JAVA_OFFER))).body == b"GET /a "
        assert (await wire.ask(get("/b"))).body == b"GET /b "
        assert (await wire.ask(request("POST", "/c", b"body"))).body == b"POST /c body"


async def test_an_offer_may_come_with_a_body_and_with_requests_behind_it() -> None:
    for second in (request("POST", "/a", b"body", *JAVA_OFFER), get("/a", *JAVA_OFFER)):
        async with serving(echo) as here:
            wire = await here.connect()
            await wire.send(request("POST", "/a", b"body", *JAVA_OFFER) + second + get("/b") + second)
            first = await wire.answer()
            assert (first.status, first.body) == (200, b"POST /a body")
            assert [(await wire.answer()).status for _ in range(3)] == [200] * 3
            assert (await wire.ask(get("/c"))).body == b"GET /c "


async def test_an_offer_with_a_chunked_body_torn_anywhere_is_understood() -> None:
    whole = request("POST", "/a", None, "Transfer-Encoding: chunked", *JAVA_OFFER) + chunked(b"bo", b"dy") + get("/b")
    async with serving(echo) as here:
        for place in range(1, len(whole)):
            wire = await here.connect()
            await wire.send(whole[:place])
            await wire.send(whole[place:])
            assert [(await wire.answer()).body for _ in range(2)] == [b"POST /a body", b"GET /b "]


async def test_an_offer_of_websocket_is_declined() -> None:
    offer = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: eA==",
        "Sec-WebSocket-Version: 13",
    )
    async with serving() as here:
        wire = await here.connect()
        assert (await wire.ask(get("/v1.0/healthz", *offer))).status == 204
        assert await wire.is_usable()


@pytest.mark.transport
async def test_hundreds_of_offers_in_one_read_are_answered() -> None:
    async with serving(echo) as here:
        wire = await here.connect()
        await wire.send(get("/a", *JAVA_OFFER) * 500)
        assert [(await wire.answer()).status for _ in range(500)] == [200] * 500


# --- how long a connection lasts --------------------------------------------------------------------------------------


async def test_a_connection_stays_open_as_its_client_asks(subtests: pytest.Subtests) -> None:
    for version, header, closes in (
        ("1.1", None, False),
        ("1.1", "Connection: keep-alive", False),
        ("1.1", "Connection: close", True),
        ("1.1", "Connection: Close", True),
        ("1.1", "Connection: foo, close", True),
        ("1.0", None, True),
        ("1.0", "Connection: close", True),
        # uvicorn closes too: clients that know keep-alive of HTTP/1.0 know `connection: close` as well.
        ("1.0", "Connection: keep-alive", True),
    ):
        with subtests.test(f"HTTP/{version}, {header}"):
            async with serving() as here:
                wire = await here.connect()
                asked = get("/v1.0/healthz", *([header] if header else []))
                answer = await wire.ask(asked.replace(b"HTTP/1.1", f"HTTP/{version}".encode()))
                assert (answer.status, answer.closes) == (204, closes)
                if closes:
                    assert await wire.rest() == b""
                else:
                    assert await wire.is_usable()


# --- methods and targets ----------------------------------------------------------------------------------------------


async def test_other_methods_are_refused_and_the_connection_goes_on(subtests: pytest.Subtests) -> None:
    for method in ("OPTIONS", "PATCH", "TRACE", "HEAD", "MKCOL"):
        with subtests.test(method):
            async with serving() as here:
                wire = await here.connect()
                await wire.send(request(method, "/v1.0/state/statestore/k"))
                answer = await wire.answer(to_head=method == "HEAD")
                assert answer.status == 405
                assert answer.headers["allow"] == "DELETE, GET"
                if method != "HEAD":
                    assert json.loads(answer.body)["errorCode"] == "ERR_METHOD_NOT_ALLOWED"
                assert await wire.is_usable()


async def test_connect_to_a_host_is_no_path() -> None:
    async with serving() as here:
        wire = await here.connect()
        answer = await wire.ask(request("CONNECT", "example.org:443"))
        assert (answer.status, answer.closes) == (404, True)


async def test_a_client_that_sends_a_target_as_to_a_proxy_is_served() -> None:
    async with serving() as here:
        wire = await here.connect()
        target = f"http://127.0.0.1:{here.port}/v1.0/state/statestore"
        assert (await wire.ask(save(ITEM, target=target + "?consistency=strong"))).status == 201
        assert (await wire.ask(get(target + "/k"))).body == b"1"
        assert (await wire.ask(get("http://host"))).status == 404
        assert (await wire.ask(request("OPTIONS", "*"))).status == 404


async def test_a_head_request_gets_no_body() -> None:
    async with serving(echo) as here:
        wire = await here.connect()
        await wire.send(request("HEAD", "/a") + get("/b"))
        assert (await wire.answer(to_head=True)).headers["content-length"] == "8"
        assert (await wire.answer()).body == b"GET /b "
