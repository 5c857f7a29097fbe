"""`state.mongodb`: state in one collection, one document for each key, in the layout of Dapr 1.18.

store ──> client     one client for all calls, connected and verified
      ──> writing    a write as one statement that checks its own precondition
      ──> pool       the client's pool, with the connections counted that the server has not closed yet
      ──> bulk, transactions    many writes: independent of each other, or all or none
      ──> layout     encodes values as BSON, and decodes them
settings, errors     the component's metadata; what the client's errors mean
"""

STORES = {"state.mongodb": "MongoDBStore"}
EXTRA = "mongodb"
PACKAGES = {"pymongo": "pymongo", "bson": "pymongo"}
