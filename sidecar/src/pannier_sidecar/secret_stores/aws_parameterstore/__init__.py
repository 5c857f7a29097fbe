"""AWS Parameter Store: a secret is one parameter below a prefix. `store` reads them."""

EXTRA = "aws-secrets"
PACKAGES = {"aiobotocore": "aiobotocore"}
