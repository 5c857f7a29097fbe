"""`state.cassandra`: state in one table of Apache Cassandra, which is Dapr's table with an added column for the ETag.

Every write is a lightweight transaction (docs/decisions, 12).

    store       the Store: which statement each call needs and what its row means
    client      the driver's cluster and session
    connection  the driver's connection, which ends when a server sends what it should not
    frames      cuts received bytes into frames
    decoding    bounds what the driver decodes
    replicas    which nodes have a row
    schema      makes the table if it is missing
    layout      the statements, and what a row holds
    key_locks   one writer of a key at a time
    errors      what the errors of Cassandra and its driver mean
    settings    the component's metadata
"""

STORES = {"state.cassandra": "CassandraStore"}
EXTRA = "cassandra"
PACKAGES = {"cassandra": "cassandra-driver"}
