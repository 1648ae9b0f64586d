"""The engine: runs stages over parts, commits each part whole or not at all. It knows nothing of text or images."""
