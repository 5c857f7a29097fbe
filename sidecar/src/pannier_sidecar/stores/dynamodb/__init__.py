"""`state.aws.dynamodb`: state in one table of Amazon DynamoDB, in the layout that Dapr gives it.

`layout` has the form of items and the conditions of writes, `client` makes calls and repeats those that may be
repeated, `batches` makes those for many keys, `errors` translates errors. The store joins them.
"""

STORES = {"state.aws.dynamodb": "DynamoDBStore"}
EXTRA = "dynamodb"
PACKAGES = {"aiobotocore": "aiobotocore"}
