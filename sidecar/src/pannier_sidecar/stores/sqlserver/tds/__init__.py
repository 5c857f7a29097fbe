"""TDS, the protocol of SQL Server, as bytes: what a client writes, and what the server's answers say.

packets     cuts messages into packets, and puts received packets together
prelogin    the first exchange: is the connection encrypted?
login       signs in, with a password or with a token
requests    a batch of statements, or one statement with parameters
answers     the tokens of an answer: rows, errors, what has changed
columns     the types of columns, and values in rows
errors      what a server reports, and bytes that are no answer

Specification: [MS-TDS], version 7.4 of the protocol. It does no I/O.
"""
