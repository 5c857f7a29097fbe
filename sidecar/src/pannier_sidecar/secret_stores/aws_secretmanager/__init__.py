"""AWS Secrets Manager: a secret is one text, or the fields of a JSON object. `store` reads them."""

EXTRA = "aws-secrets"
PACKAGES = {"aiobotocore": "aiobotocore"}
