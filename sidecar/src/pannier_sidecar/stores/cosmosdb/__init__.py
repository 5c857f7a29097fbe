"""`state.azure.cosmosdb`: state in one container of Azure Cosmos DB, one item for each key, in Dapr 1.18's layout.

store ──> client     the client that all calls share, signed in and verified
          ──> transport    the client's transport: a write that was sent is never sent again
      ──> writing    a write as one request with its precondition, or as steps of a batch
      ──> listing    pages of keys, by a query over all partitions
      ──> layout     encodes values as items and keys as ids, and decodes them
settings, errors     the component's metadata; what the client's errors mean
"""

STORES = {"state.azure.cosmosdb": "CosmosDBStore"}
EXTRA = "cosmosdb"
PACKAGES = {"azure": "azure-cosmos", "azure.core": "azure-cosmos", "azure.cosmos": "azure-cosmos", "aiohttp": "aiohttp"}
