"""From decided documents and fetched images to what is packed, with a ledger of the rest."""
