"""`state.sqlite`: state in one file, in the table layout of Dapr 1.18.

store ──> worker     two threads with a connection each: one writes whatever waits as one transaction, one reads
      ──> table      the SQL: reading, checking, writing and listing rows
      ──> sweeper    removes expired rows when there are any
settings, schema, faults    what the component says, the tables' layout, SQLite's errors in plain words
"""

from .store import SQLiteStore

__all__ = ["SQLiteStore"]
