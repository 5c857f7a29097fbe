-- The tables of a state.sqlserver component of version v2, and a user with only the rights that the store needs.
-- Run it as an administrator: sqlcmd -i tables.sql
-- For version v1, [Data] is NOT NULL, and [BinaryData] and [isBinary] are left out.
CREATE DATABASE [shop];
GO
USE [shop];
GO
CREATE TABLE [dbo].[state] (
    [Key] NVARCHAR(200) COLLATE Latin1_General_100_BIN2 NOT NULL,
    [Data] NVARCHAR(MAX) NULL,
    [BinaryData] VARBINARY(MAX) NULL,
    [isBinary] BIT NOT NULL DEFAULT 0,
    [InsertDate] DATETIME2 NOT NULL DEFAULT SYSDATETIME(),
    [UpdateDate] DATETIME2 NULL,
    [ExpireDate] DATETIME2 NULL,
    [RowVersion] ROWVERSION NOT NULL,
    CONSTRAINT [PK_state] PRIMARY KEY ([Key])
);
CREATE TABLE [dbo].[dapr_metadata] (
    [Key] NVARCHAR(200) COLLATE Latin1_General_100_BIN2 NOT NULL,
    [Value] NVARCHAR(MAX) NOT NULL,
    CONSTRAINT [PK_dapr_metadata] PRIMARY KEY ([Key])
);
GO
CREATE LOGIN [shop] WITH PASSWORD = 'Change-it-1';
CREATE USER [shop] FOR LOGIN [shop];
GRANT SELECT, INSERT, UPDATE, DELETE ON [dbo].[state] TO [shop];
GRANT SELECT, INSERT, UPDATE, DELETE ON [dbo].[dapr_metadata] TO [shop];
