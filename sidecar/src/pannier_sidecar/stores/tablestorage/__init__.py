"""`state.azure.tablestorage`: state in one table of Azure Table Storage or Azure Cosmos DB, one entity for each key.

    store      the Store: which requests each call makes, and what their answers mean
    client     the requests, signed by network/azure_storage
    layout     the keys of entities, their properties, ETags and expiry
    settings   the component's metadata

Each knows only those below it. The API: https://learn.microsoft.com/rest/api/storageservices/table-service-rest-api
"""

STORES = {"state.azure.tablestorage": "TableStore"}
EXTRA = "azurestorage"
PACKAGES = {"aiohttp": "aiohttp", **dict.fromkeys(("azure", "azure.core", "azure.identity"), "azure-identity")}
