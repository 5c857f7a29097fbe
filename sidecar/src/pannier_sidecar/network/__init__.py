"""What stores that reach their servers over a network share.

pipeline         one connection for all calls: those of one iteration of the event loop are one write
reconnecting     replaces such a connection when it ends, while the store is open; has calls wait while it is full
connection_pool  connections lent to one call at a time, for databases that answer one call at a time on each
pooled_store     which writes go together in one statement of such a connection, and what follows from errors
sql_writes       transactions that check locked rows first, and the parts of several writes for one statement each
keepalive        has the kernel notice a server that has vanished
answers          how large an answer may be, and reads in parts if it would be larger
http_answers     the same for answers over HTTP
http_client      requests over HTTP to one server: no write is sent twice
many_calls       bulk calls by several requests in flight together
azure_storage    calls to an Azure storage account, and their signatures
grpc_channels    how a gRPC channel connects again, and how much it may receive
connections      connections of a client library, counted until the server has closed them too
expiry_sweeper   removes expired keys, where each sidecar does it for itself
sweeping         removes expired rows from time to time, in one sidecar of all that share a table
tls              which authorities TLS trusts, and which client certificate it sends
fields           fields of components that hold addresses
jitter           random pauses, so that sidecars do not all come back to a server at once
reasons          why a server cannot be reached
"""
