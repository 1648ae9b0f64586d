"""Publishing a run: the dataset card, a preview, metadata for other readers, the upload, and the check of shards.

All but `verify` needs the packages of the extra `pipeline`.
"""
