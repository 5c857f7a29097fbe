"""What stores that reach their servers over a network share.

pipeline    one connection for all calls: those of one loop turn go out in one write, answers come in order
tls         whom TLS trusts, and which certificate it shows
"""
