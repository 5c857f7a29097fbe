"""`state.sqlite`: state in one file, in the table layout of Dapr 1.18.

store ──> worker            two threads with a connection each: one writes whatever waits as one transaction, one reads
      ──> layout            the SQL: reading, checking, writing and listing rows
      ──> expiry_sweeper    removes expired rows when there are any
      ──> begun             reads that were begun and not awaited
settings, schema, errors    the component's metadata, making the tables, what SQLite's errors mean
locks                       waiting for locks that other processes hold
"""

STORES = {"state.sqlite": "SQLiteStore"}
