"""`state.aws.dynamodb`: state in one table of Amazon DynamoDB, in the layout that Dapr gives it.

`layout` says what an item looks like and when a write may happen, `client` makes calls and repeats those that may be,
`batches` makes those for many keys, `errors` says what errors mean. The store joins them.
"""

STORES = {"state.aws.dynamodb": "DynamoDBStore"}
EXTRA = "dynamodb"
PACKAGES = {"aiobotocore": "aiobotocore"}
