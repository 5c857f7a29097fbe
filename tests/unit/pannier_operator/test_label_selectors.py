"""Selectors select as the API server's do."""

from __future__ import annotations

import pytest
from unit.tables import each_row

from pannier_operator.objects.label_selectors import parse

LABELS = {"team": "a", "pannier.dev/state": "enabled"}


@each_row(
    ("selector", "is_match"),
    [
        ("{}", True),
        ('{"matchLabels": {"team": "a"}}', True),
        ('{"matchLabels": {"team": "b"}}', False),
        ('{"matchLabels": {"team": "a", "other": "x"}}', False),
        ('{"matchExpressions": [{"key": "team", "operator": "In", "values": ["a", "b"]}]}', True),
        ('{"matchExpressions": [{"key": "gone", "operator": "In", "values": ["a"]}]}', False),
        ('{"matchExpressions": [{"key": "gone", "operator": "NotIn", "values": ["a"]}]}', True),
        ('{"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]}', False),
        ('{"matchExpressions": [{"key": "team", "operator": "Exists"}]}', True),
        ('{"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}', False),
        ('{"matchLabels": {"team": "a"}, "matchExpressions": [{"key": "gone", "operator": "Exists"}]}', False),
    ],
)
def test_all_parts_must_hold(selector: str, is_match: bool) -> None:
    assert parse(selector).matches(LABELS) is is_match


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "x",
        '{"labels": {}}',
        '{"matchExpressions": [{"key": "a", "operator": "Is"}]}',
        '{"matchExpressions": [1]}',
    ],
)
def test_an_invalid_selector_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)
