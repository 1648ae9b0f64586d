"""Duplicates: documents, images, paragraphs.

* `sign` -> `group` -> `components` -> `verify`: documents by address, text, pair and MinHash, each drop checked against
  one survivor
* `images`: how many documents use an image; `perceptual`: near-duplicate image hashes
* `paragraphs`: what a site repeats
* `lookup`: which signed documents resemble a given one
* `text`, `minhash`, `urls`, `hashing`: what these are made of
"""
