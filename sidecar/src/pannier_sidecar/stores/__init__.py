"""The state stores, one module or package each; `registry` finds them by component type."""
