"""Which module describes a component type, by its name or alias. Written by `make docs`."""

from typing import Final

MODULES: Final = {
    "state.azure.blobstorage": "blobstorage",
    "state.cassandra": "cassandra",
    "state.hashicorp.consul": "consul",
    "state.consul": "consul",
    "state.azure.cosmosdb": "cosmosdb",
    "state.aws.dynamodb": "dynamodb",
    "state.etcd": "etcd",
    "state.gcp.spanner": "gcp_spanner",
    "state.in-memory": "in_memory",
    "state.jetstream": "jetstream",
    "state.memcached": "memcached",
    "state.mongodb": "mongodb",
    "state.mysql": "mysql",
    "state.postgresql": "postgresql",
    "state.postgres": "postgresql",
    "state.cockroachdb": "postgresql",
    "state.redis": "redis",
    "state.sqlite": "sqlite",
    "state.sqlite3": "sqlite",
    "state.azure.tablestorage": "tablestorage",
    "secretstores.aws.parameterstore": "aws_parameterstore",
    "secretstores.aws.secretmanager": "aws_secretmanager",
    "secretstores.azure.keyvault": "azure_keyvault",
    "secretstores.gcp.secretmanager": "gcp_secretmanager",
    "secretstores.hashicorp.vault": "hashicorp_vault",
    "secretstores.kubernetes": "kubernetes_secrets",
    "secretstores.local.env": "local_secrets",
    "secretstores.local.file": "local_secrets",
}
