"""`state.azure.blobstorage`: state in one container of Azure Blob Storage, one blob for each key, in Dapr's layouts.

    store      the Stores of version v1 and v2: which requests each call makes, and what their answers mean
    client     the requests, signed by network/azure_storage
    listing    answers to requests for lists of blobs
    layout     names of blobs, ETags, and what of a request becomes header fields
    settings   the component's metadata

Each knows only those below it. The API: https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api
"""

STORES = {"state.azure.blobstorage": "UnprefixedStore", "state.azure.blobstorage/v2": "BlobStore"}
EXTRA = "azurestorage"
PACKAGES = {"aiohttp": "aiohttp", **dict.fromkeys(("azure", "azure.core", "azure.identity"), "azure-identity")}
