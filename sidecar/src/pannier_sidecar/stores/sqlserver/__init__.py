"""`state.sqlserver`: state in a table of SQL Server or Azure SQL, in the layouts of Dapr's two versions of it.

store ──> writing        the statement of a write, or of several
      ──> transactions   several writes between BEGIN and COMMIT
      ──> client         a few connections, each lent to one call at a time
          ──> connection     one of them: it signs in, sends statements, and cancels those that are given up
              ──> wire           its bytes: packets and TLS, with bounds on what a server sends
              ──> tds            the protocol
      ──> expiry_sweeper    removes expired rows from time to time
statements, layout           the SQL of a table; how keys, values and ETags are stored in it
settings, encryption         the component's metadata; its TLS
schema, errors               makes or checks the tables; translates SQL Server's errors
"""

STORES = {"state.sqlserver": "SQLServerStore", "state.sqlserver/v2": "SQLServerStoreV2"}
