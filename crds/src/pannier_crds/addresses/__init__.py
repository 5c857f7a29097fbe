"""Parsers of server addresses: one for each way in which fields spell them. Checks and stores use the same ones.

hosts                                a host with a port, and lists of them, as most fields have them
urls                                 URLs whose authority may hold a user and a password
azure_storage, mongodb, mysql, nats,
postgresql, sqlite, sqlserver        addresses that only the fields of one database take

They raise InvalidValueError. Its text gives the position of the wrong character and never quotes the address, because a
malformed address may have a password anywhere.
"""
