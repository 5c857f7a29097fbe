"""`state.mysql`: state in a table of MySQL or MariaDB, as Dapr lays it out.

store ──> writing        the statement of a write, or of several
      ──> transactions   several writes between BEGIN and COMMIT
      ──> client         a few connections, each lent to one call at a time
          ──> connection     one of them: how it signs in, its session, and bounds on what a server sends
      ──> expiry_sweeper    removes expired rows from time to time
statements, layout           the SQL of a table; how keys, values and ETags are stored in it
settings, encryption         the component's metadata; its TLS
schema, errors               makes or checks the tables; translates MySQL's errors
"""

STORES = {"state.mysql": "MySQLStore"}
EXTRA = "mysql"
PACKAGES = {"aiomysql": "aiomysql"}
