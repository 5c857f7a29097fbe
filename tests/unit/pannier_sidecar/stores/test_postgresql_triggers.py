"""The page on feeds shows the triggers that a feed asks for."""

from pathlib import Path

from pannier_sidecar.stores.postgresql.layout import BytesLayout, JsonLayout
from pannier_sidecar.stores.postgresql.triggers import Triggers

PAGE = Path(__file__).parents[4] / "docs/change-feeds.md"
TABLE = '"public"."state"'


def test_the_page_has_the_statements_that_a_refusal_has() -> None:
    shown = PAGE.read_text().partition("```sql")[2].partition("```")[0]
    assert " ".join(shown.split()) == Triggers(TABLE, BytesLayout()).statements


def test_the_name_of_a_table_that_came_from_a_secret_is_not_shown() -> None:
    statements = Triggers(TABLE, JsonLayout(), "TABLE").statements
    assert "state" not in statements
    assert "NEW.xmin" in statements


def test_each_table_has_a_channel() -> None:
    assert Triggers(TABLE, JsonLayout()).channel != Triggers('"other"."state"', JsonLayout()).channel
