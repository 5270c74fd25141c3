"""The page and the API of one gateway."""
