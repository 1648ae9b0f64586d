"""Scores and rules: what is measured of a document, a paragraph or an image, and what a table of thresholds makes of
it.

Scores are columns, computed once; decisions are taken afterwards, from the stored columns, by a table
(`filters.rules`).
"""
