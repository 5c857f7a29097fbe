"""`state.cassandra`: state in one table of Apache Cassandra, Dapr's with a column for the ETag.

Every write is a lightweight transaction (docs/decisions, 12). `sessions` reaches the servers, `schema` makes the table,
`statements` are what is sent, `faults` puts errors into words, `turns` keeps writers of one key from meeting.
"""

from pannier_sidecar.stores.cassandra.store import CassandraStore

__all__ = ["CassandraStore"]
