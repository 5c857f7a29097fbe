"""Azure Key Vault: each secret is one text. `store` reads them over HTTP with the tokens of Microsoft's client."""

EXTRA = "azure-secrets"
PACKAGES = {"aiohttp": "aiohttp", **dict.fromkeys(("azure", "azure.core", "azure.identity"), "azure-identity")}
