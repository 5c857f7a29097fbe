"""Bodies, parameters and headers become requests, without a socket."""

import pytest
from unit.tables import each_row

from pannier_sidecar.http_api.decoding import NO_DEFAULTS, Decoding, RequestDefaults, request_defaults
from pannier_sidecar.http_api.messages import Call
from pannier_sidecar.state.errors import MalformedRequestError, TooManyFieldsError, TooManyItemsError
from pannier_sidecar.state.requests import Concurrency, Consistency, Pattern, RetryPolicy, WriteItem

MAX_ITEMS = 10_000
LENIENT, STRICT = (Decoding(is_lenient=is_lenient, max_items=MAX_ITEMS) for is_lenient in (True, False))


def only(items: list[WriteItem]) -> WriteItem:
    (item,) = items
    return item


@pytest.mark.parametrize("decoding", [LENIENT, STRICT], ids=["lenient", "strict"])
async def test_a_complete_item_is_read(decoding: Decoding) -> None:
    body = b"""[{"key": "k", "value": { "a" : 1.10 }, "etag": "7", "metadata": {"ttlInSeconds": "5"},
        "options": {"concurrency": "first-write", "consistency": "strong",
                    "retryPolicy": {"interval": 10, "threshold": 2, "pattern": "exponential"}}}]"""
    assert only(await decoding.items(body, NO_DEFAULTS)) == WriteItem(
        "k",
        b'{ "a" : 1.10 }',
        "7",
        Concurrency.FIRST_WRITE,
        Consistency.STRONG,
        {"ttlInSeconds": "5"},
        RetryPolicy(10, 2, Pattern.EXPONENTIAL),
        is_json=True,
    )


async def test_what_an_item_does_not_say_comes_from_the_call() -> None:
    defaults = RequestDefaults(Concurrency.FIRST_WRITE, Consistency.STRONG, RetryPolicy(1), {"a": "query"})
    plain, said = await LENIENT.items(
        b"""[{"key": "k"}, {"key": "l", "metadata": {"a": "item", "b": "item"},
        "options": {"concurrency": "last-write", "consistency": "eventual", "retryPolicy": {"threshold": 9}}}]""",
        defaults,
    )
    assert (plain.concurrency, plain.consistency, plain.retry) == (
        defaults.concurrency,
        defaults.consistency,
        defaults.retry,
    )
    assert (said.concurrency, said.consistency) == (Concurrency.LAST_WRITE, Consistency.EVENTUAL)
    assert (said.retry, said.metadata) == (RetryPolicy(threshold=9), {"a": "query", "b": "item"})


@pytest.mark.parametrize(
    "body",
    [
        b'[{"KEY": "k", "Value": 1, "eTag": "7", "OPTIONS": {"Concurrency": "first-write"}, "x": {"Key": 1}}]',
        b'[{"key": "k", "value": 1, "etag": "7", "options": {"concurrency": "first-write", "other": 1}}]',
    ],
    ids=["names in other case", "unknown names"],
)
async def test_no_field_is_lost_for_its_spelling_or_its_neighbours(body: bytes) -> None:
    for decoding in (LENIENT, STRICT):
        item = only(await decoding.items(body, NO_DEFAULTS))
        assert (item.key, item.value, item.etag, item.concurrency) == ("k", b"1", "7", Concurrency.FIRST_WRITE)


async def test_of_a_field_in_several_spellings_the_last_counts() -> None:
    body = b'[{"KEY": "a", "x": 1, "key": "b", "Key": "c", "y": 2}]'
    assert [item.key for item in await LENIENT.items(body, NO_DEFAULTS)] == ["c"]


@each_row(
    ("body", "error"),
    (
        ("[{" + ",".join(f'"x{n}":1' for n in range(401)) + "}]", TooManyFieldsError),
        ("[" + ",".join('{"x":1,"y":2,"z":3,"v":4,"w":5}' for _ in range(81)) + "]", TooManyFieldsError),
        ("[" + "{}," * 20_000 + "{}]", TooManyItemsError),
        ("[" + "{}," * 100 + "{}]", TooManyItemsError),
        ("[" + "1," * 20_000 + "1]", MalformedRequestError),
        ('[{"Key":"k"},' + "1," * 20_000 + "1]", MalformedRequestError),
    ),
)
async def test_unknown_fields_and_items_are_counted_before_they_take_memory(
    body: str, error: type[MalformedRequestError]
) -> None:
    for is_lenient in (True, False):
        decoding = Decoding(is_lenient=is_lenient, max_items=100)
        with pytest.raises(MalformedRequestError) as raised:
            await decoding.items(body.encode(), NO_DEFAULTS)
        assert type(raised.value) is error
        fields = ",".join(f'"x{n}":1' for n in range(399))
        item = only(await decoding.items(f'[{{"Key":"k",{fields}}}]'.encode(), NO_DEFAULTS))  # counted for each body
        assert item.key == "k"


async def test_names_inside_values_and_metadata_are_the_apps_own() -> None:
    body = b'[{"Key": "k", "value": {"Key": 1, "options": 2}, "metadata": {"Key": "x"}}]'
    item = only(await LENIENT.items(body, NO_DEFAULTS))
    assert (item.value, item.metadata) == (b'{"Key": 1, "options": 2}', {"Key": "x"})


async def test_transactions_and_bulk_gets_may_be_spelt_otherwise_too() -> None:
    body = b'{"Operations": [{"Operation": "delete", "Request": {"Key": "k", "ETag": "7"}}], "Metadata": {"a": "b"}}'
    items, metadata = await LENIENT.transaction(body, NO_DEFAULTS)
    assert (only(items), metadata) == (WriteItem("k", None, "7", is_json=True), {"a": "b"})
    assert only(await LENIENT.actor_transaction(body[15:-25], NO_DEFAULTS)) == WriteItem("k", None, "7", is_json=True)
    assert await LENIENT.bulk_get(b'{"Keys": ["a"], "PARALLELISM": 2, "x": 1}') == (["a"], {})


@pytest.mark.parametrize(
    "inner", [b'[{\\"key\\": \\"k\\", \\"value\\": 1}]', b'[{\\"Key\\": \\"k\\", \\"value\\": 1}]']
)
async def test_json_in_a_string_is_read_if_enabled(inner: bytes) -> None:
    body = b' "' + inner + b'"'
    assert only(await LENIENT.items(body, NO_DEFAULTS)).key == "k"
    with pytest.raises(MalformedRequestError):
        await STRICT.items(body, NO_DEFAULTS)


async def test_numbers_count_as_texts_if_enabled() -> None:
    body = b'[{"key": "k", "etag": 7, "metadata": {"a": 1, "b": 1.5, "c": true}}]'
    item = only(await LENIENT.items(body, NO_DEFAULTS))
    assert (item.etag, item.metadata) == ("7", {"a": "1", "b": "1.5", "c": "true"})
    with pytest.raises(MalformedRequestError, match="etag"):
        await STRICT.items(body, NO_DEFAULTS)


async def test_a_body_that_would_take_too_long_to_normalize_is_refused() -> None:
    item = b'{"Key": "k"}'
    assert len(await LENIENT.items(b"[" + b",".join([item] * 100) + b"]", NO_DEFAULTS)) == 100
    with pytest.raises(TooManyItemsError, match="over 10000 items"):
        await LENIENT.items(b"[" + b",".join([item] * (MAX_ITEMS + 1)) + b"]", NO_DEFAULTS)


@pytest.mark.parametrize("depth", [100, 900, 100_000])
async def test_deep_json_is_accepted_or_refused_with_a_message(depth: int) -> None:
    for body in (b"[" * depth + b"]" * depth, b'{"options":' * depth + b"1" + b"}" * depth, b"[" * depth):
        with pytest.raises(MalformedRequestError):
            await LENIENT.items(body, NO_DEFAULTS)
    value = b"[" * depth + b"]" * depth
    body = b'[{"key": "k", "value": ' + value + b"}]"
    if depth == 100:
        assert only(await LENIENT.items(body, NO_DEFAULTS)).value == value
    elif depth > 1000:
        with pytest.raises(MalformedRequestError, match="nested too deeply"):
            await LENIENT.items(body, NO_DEFAULTS)


def test_request_defaults_come_from_the_query_or_else_from_headers() -> None:
    headers = {b"concurrency": b"first-write", b"consistency": b"eventual"}
    defaults = request_defaults({"consistency": "strong", "metadata.a": "b", "metadata": "x"}, headers)
    assert (defaults.concurrency, defaults.consistency) == (Concurrency.FIRST_WRITE, Consistency.STRONG)
    assert (defaults.metadata, defaults.retry) == ({"a": "b"}, None)
    assert request_defaults({"retryThreshold": "0"}, {}).retry == RetryPolicy(threshold=0)


def test_of_several_parameters_the_first_counts() -> None:
    call = Call(b"GET", b"/", b"a=1&a=2&b=%C3%BC+x&c&=&d=%ff", {})
    assert call.query() == {"a": "1", "b": "ü x", "c": "", "": "", "d": "\ufffd"}


@pytest.mark.parametrize("decoding", [LENIENT, STRICT], ids=["lenient", "strict"])
@each_row(
    ("body", "named"),
    [
        (b"", "the body is empty"),
        (b" \r\n", "the body is empty"),
        (b"\x1f\x8b\x08\x00abc", "compressed (gzip)"),
        (b"\x78\x9c\xabV*I", "compressed (deflate)"),
        (b"\x28\xb5\x2f\xfd abc", "compressed (zstd)"),
        (b'\xef\xbb\xbf[{"key": "k"}]', "begins with a byte order mark"),
        (b"\xff\xfe[\x00]\x00", "is UTF-16"),
        (b'[{"key": "k", "value": "\\ud800"}]', "\\ud800 at byte 24 is half of a surrogate pair"),
        (b'[{"key": "k", "value": "\\ud83d\\ude00 \\uDC00"}]', "\\uDC00 at byte 37 is half of a surrogate pair"),
        (b'[{"key": "k", "value": "\\\\ud83d \\ud83dx"}]', "\\ud83d at byte 32 is half of a surrogate pair"),
        (b'[{"key": "k", "value": "\\\\ud83d\\ude00"}]', "\\ude00 at byte 31 is half of a surrogate pair"),
        (b'[{"key": "\\ud800\\u0041"}]', "\\ud800 at byte 10 is half of a surrogate pair"),
        (b'[{"key": "k", "value": {"\\udfff": 1}}]', "\\udfff at byte 25 is half of a surrogate pair"),
    ],
)
async def test_a_body_that_is_not_json_is_named_for_what_it_is(decoding: Decoding, body: bytes, named: str) -> None:
    with pytest.raises(MalformedRequestError) as refused:
        await decoding.items(body, NO_DEFAULTS)
    assert named in str(refused.value)
    assert "truncated" not in str(refused.value)


async def test_json_that_ends_too_early_is_said_to() -> None:
    with pytest.raises(MalformedRequestError, match="truncated"):
        await LENIENT.items(b'[{"key": "k", "value": "\\ud83d\\ude00', NO_DEFAULTS)


@pytest.mark.parametrize("decoding", [LENIENT, STRICT], ids=["lenient", "strict"])
async def test_null_and_empty_metadata_are_absent(decoding: Decoding) -> None:
    metadata = b'{"ttlInSeconds": null, "partitionKey": "", "a": "b"}'
    defaults = request_defaults({"metadata.a": "", "metadata.c": "d"}, {})
    item = b'{"key": "k", "metadata": %b}' % metadata
    operation = b'{"operation": "upsert", "request": %b}' % item
    assert only(await decoding.items(b"[%b]" % item, defaults)).metadata == {"a": "b", "c": "d"}
    assert only(await decoding.actor_transaction(b"[%b]" % operation, defaults)).metadata == {"a": "b", "c": "d"}
    items, shared = await decoding.transaction(
        b'{"operations": [%b], "metadata": %b}' % (operation, metadata), defaults
    )
    assert (only(items).metadata, shared) == ({"a": "b", "c": "d"}, {"a": "b", "c": "d"})
    assert await decoding.bulk_get(b'{"keys": [], "metadata": %b}' % metadata) == ([], {"a": "b"})


@pytest.mark.parametrize("name", ["retryInterval", "retryThreshold"])
@each_row("text", ["9" * 4301, "1_0", "٣", "0x1", "1.0", "-", " "])
def test_a_number_of_a_query_is_digits(name: str, text: str) -> None:
    with pytest.raises(MalformedRequestError, match="whole number"):
        request_defaults({name: text}, {})
