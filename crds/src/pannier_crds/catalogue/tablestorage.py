"""`state.azure.tablestorage`: a table of Azure Table Storage, or of Azure Cosmos DB's API for tables."""

from __future__ import annotations

from typing import Final

from pannier_crds.addresses import azure_storage
from pannier_crds.catalogue import azure_account, azure_profile, every_state_store
from pannier_crds.catalogue.model import ComponentType, Field, Form
from pannier_crds.catalogue.timeouts import timeout

TYPES: Final = (
    ComponentType(
        "state.azure.tablestorage",
        title="Azure Table Storage",
        features=("ETAG", "TTL", "KEYS_LIKE"),
        fields=(
            azure_account.NAME,
            azure_account.KEY,
            azure_account.connection(azure_storage.table_connection),
            Field(
                "tableName",
                description="Name of the table",
                aliases=("table", "storageAccountTable"),
                form=Form(
                    r"(?![Tt][Aa][Bb][Ll][Ee][Ss]$)[A-Za-z][A-Za-z0-9]{2,62}",
                    "the name of a table",
                    "write 3 to 63 letters and digits, beginning with a letter",
                ),
                required=True,
                places_data=True,
            ),
            Field(
                "cosmosDbMode",
                "boolean",
                description="Whether the table is one of Azure Cosmos DB's API for tables",
                default=False,
                places_data=True,
            ),
            Field(
                "serviceURL",
                description="URL of the table service, where it is not Azure's, such as "
                "http://127.0.0.1:10002/devstoreaccount1",
                reads=azure_storage.service_url,
                places_data=True,
            ),
            Field(
                "skipCreateTable",
                "boolean",
                description="Whether the table must exist; otherwise it is created",
                default=False,
            ),
            timeout(15.0),
            Field(
                "cleanupInterval",
                "duration",
                description="Time between removals of expired keys, where this sidecar has written any; 0 or less: "
                "only those that are read are removed",
                default=3600.0,
                bare_unit="s",
            ),
            *azure_profile.fields(environment="the account"),
            *every_state_store.FIELDS,
        ),
        rules=(azure_account.one_account, *azure_profile.RULES),
    ),
)
