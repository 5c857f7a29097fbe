"""`state.azure.cosmosdb`: state in one container of Azure Cosmos DB, an item a key, in the layout of Dapr 1.18.

store ──> account    the client that all calls share, signed in and looked over
      ──> writing    a write as one request with its precondition, or as steps of a batch
      ──> layout     values as items, and back; keys as ids
settings, faults     what the component says; the client's errors in plain words
"""

from .store import CosmosDBStore

__all__ = ["CosmosDBStore"]
