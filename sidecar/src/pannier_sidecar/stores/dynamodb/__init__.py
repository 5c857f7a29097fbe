"""`state.aws.dynamodb`: state in one table of Amazon DynamoDB, in the layout that Dapr gives it.

store ──> client     makes calls, and repeats those that may be repeated
      ──> batches    the calls for many keys
      ──> layout     the form of items, and the conditions of writes
settings, errors     the component's metadata; what the client's errors mean
"""

STORES = {"state.aws.dynamodb": "DynamoDBStore"}
EXTRA = "dynamodb"
PACKAGES = {"aiobotocore": "aiobotocore"}
