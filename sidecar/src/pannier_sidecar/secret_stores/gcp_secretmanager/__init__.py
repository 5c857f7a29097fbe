"""GCP Secret Manager: each secret is one text. `store` reads them over HTTP with the tokens of Google's library."""

EXTRA = "gcp-secrets"
PACKAGES = {"aiohttp": "aiohttp", **dict.fromkeys(("google", "google.auth", "google.oauth2"), "google-auth")}
