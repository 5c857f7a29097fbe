"""`state.postgresql` and `state.cockroachdb`: state in a table, in the layouts of both of Dapr's versions.

store ──> writing        the statement of a write, or of several
      ──> transactions   all or none
      ──> client         a few connections, each lent to one call at a time
          ──> connection     one of them, which leaves nothing behind
              ──> protocol     the client library's protocol, with bounds on what a server sends
      ──> expiry_sweeper    removes expired rows from time to time
      ──> feed           changes of rows, as triggers push them
          ──> triggers, expiries    what those triggers are; which rows expire next
statements, layout, names    the SQL of a table; how values and ETags are stored in it; how keys are
settings, address            the component's metadata; the connection string and its parameters, such as sslmode
cockroachdb                  what is different in CockroachDB: layout, SQL, schema, and what is tried again
schema, errors               makes the tables; translates PostgreSQL's errors
"""

STORES = {
    "state.postgresql": "JsonStore",
    "state.postgresql/v2": "BytesStore",
    "state.cockroachdb": "CockroachDBJsonStore",
    "state.cockroachdb/v2": "CockroachDBBytesStore",
}
EXTRA = "postgresql"
PACKAGES = {"asyncpg": "asyncpg"}
