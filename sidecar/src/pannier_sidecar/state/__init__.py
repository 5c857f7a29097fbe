"""Use cases, rules and the interface of a store. It does no I/O itself, and knows no store and no protocol."""
