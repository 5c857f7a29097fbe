-- The tables of a state.mysql component, and a user with only the rights that the store needs.
-- Run it as their owner: mysql < tables.sql
-- On MySQL the collation is utf8mb4_0900_bin. Whatever it is called, it must compare every byte of a key.
CREATE DATABASE shop CHARACTER SET utf8mb4;
CREATE TABLE shop.state (
    id VARCHAR(768) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL PRIMARY KEY,
    value JSON NOT NULL,
    isbinary BOOLEAN NOT NULL,
    insertDate TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updateDate TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    eTag VARCHAR(36) CHARACTER SET utf8mb4 NOT NULL,
    expiredate TIMESTAMP NULL DEFAULT NULL,
    row_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    INDEX expiredate_idx (expiredate),
    UNIQUE INDEX row_id_uidx (row_id)
) ENGINE=InnoDB;
CREATE TABLE shop.dapr_metadata (
    id VARCHAR(255) CHARACTER SET utf8mb4 NOT NULL PRIMARY KEY,
    value TEXT CHARACTER SET utf8mb4 NOT NULL
) ENGINE=InnoDB;

CREATE USER shop IDENTIFIED BY 'change it';
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.state TO shop;
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.dapr_metadata TO shop;
