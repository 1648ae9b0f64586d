"""HTML pages as documents: text and images in reading order."""
