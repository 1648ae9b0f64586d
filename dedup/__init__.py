"""Duplicates: documents, images, paragraphs.

* `sign` -> `group` -> `verify`: documents by address, text, pair and MinHash; each duplicate is checked
  against one survivor
* `images`: how many documents use an image
* `paragraphs`: what a site repeats
* `decontaminate`: texts and pictures of evaluations
* `text`, `minhash`, `urls`, `columns`: helpers of these
"""
