"""What the commands of `panoramix` do."""
