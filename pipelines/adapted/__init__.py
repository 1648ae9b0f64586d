"""Other people's code in a run: what a recipe names by import path, checked before anything starts, and known to the
fingerprints.
"""
