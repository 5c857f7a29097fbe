"""The triggers that report changes of a table by NOTIFY, which somebody with the permission has to make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.digests import sha1
from pannier_sidecar.state.errors import NotSupportedError

if TYPE_CHECKING:
    from .connection import Connection
    from .layout import Layout

# A transaction's notifications with the same text become one, in the first one's place. So each has the row's place,
# which no two states of a row share that are written in one transaction.
_BODY: Final = """
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM pg_notify(TG_ARGV[0], '');
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' OR (TG_OP = 'UPDATE' AND OLD.key <> NEW.key) THEN
        PERFORM pg_notify(TG_ARGV[0], concat(OLD.ctid, ' - - ', OLD.key));
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM pg_notify(TG_ARGV[0], concat(NEW.ctid, ' ', NEW.{etag}, ' ',
            coalesce(extract(epoch FROM NEW.{expires})::text, '-'), ' ', NEW.key));
    END IF;
    RETURN NULL;
END"""
_STATEMENTS: Final = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $pannier${body} $pannier$;
DROP TRIGGER IF EXISTS pannier_rows ON {table};
CREATE TRIGGER pannier_rows AFTER INSERT OR UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE PROCEDURE {function}('{channel}');
DROP TRIGGER IF EXISTS pannier_truncate ON {table};
CREATE TRIGGER pannier_truncate AFTER TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE PROCEDURE {function}('{channel}');"""
_FOUND: Final = """
SELECT tgname::text, tgtype::int4, encode(tgargs, 'escape'), prosrc FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
WHERE tgrelid = to_regclass($1) AND tgname IN ('pannier_rows', 'pannier_truncate') AND tgenabled IN ('O', 'A')
AND tgqual IS NULL"""
ARE_THERE: Final = (
    "SELECT count(*) = 2 FROM pg_trigger WHERE tgrelid = to_regclass($1) "
    "AND tgname IN ('pannier_rows', 'pannier_truncate') AND tgenabled IN ('O', 'A')"
)
_KINDS: Final = {"pannier_rows": 29, "pannier_truncate": 32}
"""Row, insert, delete and update; statement and truncate (src/include/catalog/pg_trigger.h)."""


class Triggers:
    """The two triggers of a table, and the function that both call."""

    def __init__(self, table: str, layout: Layout, shown_table: str | None = None):
        """`table` is quoted and may have a schema; `shown_table` is what messages show instead."""
        self.channel = f"pannier_{sha1(table.encode()).hexdigest()[:24]}"
        self._table = table
        self._shown = shown_table or table
        self._function = f"pannier_changes_{layout.version}"
        self._body = _BODY.format(etag=layout.etag, expires=layout.expires)

    async def check(self, connection: Connection, where: str) -> None:
        """Raise NotSupportedError, with the statements to run, if they are missing or others than these."""
        found = {name: rest for name, *rest in await connection.fetch(_FOUND, self._table)}
        wanted = {name: [kind, f"{self.channel}\\000", " ".join(self._body.split())] for name, kind in _KINDS.items()}
        if {name: [kind, given, " ".join(body.split())] for name, (kind, given, body) in found.items()} == wanted:
            return
        is_there = "other triggers for it than this version needs" if found else "no triggers for it"
        raise NotSupportedError(
            f"{where} does not report changes: the table has {is_there}; have the table's owner run, in one "
            f"transaction: {self.statements} Or write changes: poll into the component"
        )

    @property
    def statements(self) -> str:
        """What makes the triggers, in one line."""
        schema, dot, _ = self._shown.rpartition(".")
        text = _STATEMENTS.format(
            function=f"{schema}{dot}{self._function}", body=self._body, table=self._shown, channel=self.channel
        )
        return " ".join(text.split())
