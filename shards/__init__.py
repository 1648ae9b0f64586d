"""The tar format: writing shards, reading and checking them, loading them for training, publishing them."""
