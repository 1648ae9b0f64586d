"""Shards: the format, writing, loading for training, takedowns; publishing is in shards/publish."""
