"""Publishing a run: card, preview, metadata for readers, upload, check. All but `verify` needs the extra `pipeline`."""
