"""Rule tables by name, each threshold with its source; read them with `filters.rules.load`."""
