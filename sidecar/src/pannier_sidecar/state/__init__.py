"""State without I/O of its own: use cases, rules and the interface of a store. Knows no store and no protocol."""
