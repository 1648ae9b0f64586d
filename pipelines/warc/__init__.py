"""WARC and ARC files: records read from any slice of a file, and written."""
