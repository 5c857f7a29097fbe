"""HashiCorp Vault: secrets of the key/value engine, versions 1 and 2, over plain HTTP.

settings     the component's metadata
signing_in   how the sidecar gets its token
client       requests and answers
store        secrets by their names
"""

EXTRA = "vault"
PACKAGES = {"aiohttp": "aiohttp"}
