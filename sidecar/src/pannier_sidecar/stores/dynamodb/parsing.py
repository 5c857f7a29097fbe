"""A parser for the client, which refuses answers that DynamoDB does not give.

The client's own parser reads a body that is not JSON as an answer without fields, so a proxy's page would acknowledge a
write.
"""

from __future__ import annotations

import json
from typing import Any

from aiobotocore.parsers import AioJSONParser, AioResponseParserFactory

from .errors import NotUnderstoodError


class StrictParser(AioJSONParser):  # type: ignore[misc]  # it has no types
    """Raises NotUnderstoodError for what is not an answer of DynamoDB."""

    async def parse(self, response: Any, shape: Any) -> Any:
        try:
            return await super().parse(response, shape)
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise NotUnderstoodError from error

    def _handle_json_body(self, raw_body: bytes, shape: Any) -> Any:
        body = json.loads(raw_body)
        if not isinstance(body, dict):
            raise NotUnderstoodError
        return self._parse_shape(shape, body)


class StrictParsers(AioResponseParserFactory):  # type: ignore[misc]  # it has no types
    """Makes the client's parsers; DynamoDB speaks one protocol only."""

    def create_parser(self, protocol_name: str) -> Any:
        return StrictParser(**self._defaults) if protocol_name == "json" else super().create_parser(protocol_name)
