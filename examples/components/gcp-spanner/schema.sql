-- The table of state.gcp.spanner, in GoogleSQL:
--   gcloud spanner databases ddl update DATABASE --instance=INSTANCE --ddl-file=schema.sql
-- The account that Pannier runs with needs roles/spanner.databaseUser on the database, and nothing else.

CREATE TABLE state (
  key STRING(MAX) NOT NULL,
  value BYTES(MAX) NOT NULL,
  etag TIMESTAMP NOT NULL OPTIONS (allow_commit_timestamp = true),
  expires_at TIMESTAMP
) PRIMARY KEY (key),
  ROW DELETION POLICY (OLDER_THAN(expires_at, INTERVAL 0 DAY));
