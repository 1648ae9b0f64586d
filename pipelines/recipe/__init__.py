"""Recipes: their tables (schema), how one is read from a file (load), and everything that one names (resolve)."""
