"""`state.mongodb`: state in one collection, a document a key, in the layout of Dapr 1.18.

store ──> server     one client for all calls, opened and looked over
      ──> writing    a write as one statement that checks its own precondition
      ──> pool       which connections count
      ──> bulk, transactions    many writes, each for itself or all together
      ──> layout     values as BSON, and back
settings, faults     what the component says; the client's errors in plain words
"""

from .store import MongoDBStore

__all__ = ["MongoDBStore"]
