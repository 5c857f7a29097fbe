"""The operator's log says why a call failed, but not in the API server's words, which may quote an object."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from pannier_operator.cluster.errors import ApiError, ApiRefusedError
from pannier_operator.log_lines import JsonLines, Lines

PASSWORD = "s3cr3t-horse"


@pytest.mark.parametrize(
    ("code", "reason", "message", "text"),
    [
        (422, "Invalid", f'spec.metadata[0].value: Invalid value: "{PASSWORD}"', "HTTP status 422 Invalid"),
        (400, "BadRequest", f'admission webhook "x" denied the request: {PASSWORD}', "HTTP status 400 BadRequest"),
        (500, PASSWORD, PASSWORD, "HTTP status 500"),
        (
            403,
            "Forbidden",
            f'secrets is forbidden: User "{PASSWORD}" cannot list resource "secrets" in API group ""',
            "HTTP status 403 Forbidden: the operator has no right to list secrets",
        ),
    ],
)
def test_a_refusal_is_reported_with_its_status(code: int, reason: str, message: str, text: str) -> None:
    assert str(ApiRefusedError(code, message, reason)) == text


def test_a_server_that_does_not_answer_is_reported_by_the_kind_of_failure() -> None:
    assert str(ApiError("ConnectionRefusedError")) == "the API server does not answer (ConnectionRefusedError)"


@pytest.mark.parametrize("lines", [Lines(), JsonLines()])
def test_the_type_and_place_of_an_exception_are_logged_and_not_its_text(lines: logging.Formatter) -> None:
    try:
        raise ValueError(PASSWORD)
    except ValueError:
        record = logging.LogRecord("pannier_operator", logging.ERROR, __file__, 1, "a fault", (), sys.exc_info())

    text = lines.format(record)

    if isinstance(lines, JsonLines):
        text = json.loads(text)["error"]
    assert "ValueError" in text
    assert "test_the_type_and_place_of_an_exception" in text
    assert PASSWORD not in text
