"""What stores that reach their servers over a network share.

pipeline        one connection for all calls: those of one loop turn go out in one write, answers come in order
reconnecting    such a connection for as long as the store is open: replaced when it ends, waited for while it is full
connections     connections of a client library, counted until the server has closed them too
tls             whom TLS trusts, and which certificate it shows
fields          fields of components that hold addresses
reasons         why a server cannot be reached
"""
