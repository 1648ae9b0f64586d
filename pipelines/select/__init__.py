"""From decided documents and fetched images to what is packed: which images, which documents, and a ledger of the rest."""
