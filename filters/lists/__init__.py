"""Word lists, one word or several a line, written for this project; read them with `filters.wordlists`."""
