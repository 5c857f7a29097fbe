"""Objects that exist for each call, item or connection are cheap for the interpreter."""

import pytest
from msgspec import Struct
from msgspec.inspect import is_struct_type
from unit.tables import each_row

from pannier_sidecar.grpc_api import messages
from pannier_sidecar.grpc_api.connection import GrpcConnection
from pannier_sidecar.grpc_api.fast_path import FastCall
from pannier_sidecar.http2.streams import Stream
from pannier_sidecar.http_api.connection import HttpConnection
from pannier_sidecar.http_api.encoding import ItemBody
from pannier_sidecar.http_api.fast_path import FastCall as HttpFastCall
from pannier_sidecar.http_api.messages import Answer, Call
from pannier_sidecar.http_api.sent import LenientItem, StrictItem
from pannier_sidecar.state import requests
from pannier_sidecar.state.bulk_reads import BulkItem
from pannier_sidecar.state.store import StoredValue

OF_A_CALL: list[type[Struct]] = [Answer, BulkItem, Call, FastCall, HttpFastCall, ItemBody, LenientItem]
OF_A_CALL += [StoredValue, Stream, StrictItem]
for module in (messages, requests):
    OF_A_CALL += [kind for kind in vars(module).values() if is_struct_type(kind) and kind is not Struct]


@each_row("kind", OF_A_CALL)
def test_the_garbage_collector_visits_nothing_that_a_call_is_made_of(kind: type[Struct]) -> None:
    assert not kind.__struct_config__.gc


@pytest.mark.parametrize("kind", [GrpcConnection, HttpConnection])
def test_a_connection_has_all_its_attributes_in_slots(kind: type) -> None:
    assert kind.__dictoffset__ == 0
