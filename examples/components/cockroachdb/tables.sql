-- The tables of a state.cockroachdb component of version v2, and a user with only the rights that the store needs.
-- Run it as their owner: cockroach sql --database shop --file tables.sql
CREATE TABLE dapr_metadata (
    key text NOT NULL PRIMARY KEY,
    value text NOT NULL
);
CREATE TABLE state (
    key text NOT NULL PRIMARY KEY,
    value bytea NOT NULL,
    etag uuid NOT NULL DEFAULT gen_random_uuid(),
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone,
    expires_at timestamp with time zone
);
CREATE INDEX ON state (expires_at);
INSERT INTO dapr_metadata (key, value) VALUES ('migrations-state-v2-', '1');

CREATE USER shop WITH LOGIN PASSWORD 'change it';
GRANT SELECT, INSERT, UPDATE, DELETE ON state, dapr_metadata TO shop;
