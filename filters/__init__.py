"""Scores of documents, paragraphs and images, and tables of rules on them.

Scores are columns that are computed once and stored. Decisions are taken later, from the stored columns
(`filters.rules`).
"""
