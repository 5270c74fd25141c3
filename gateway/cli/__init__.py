"""Command line: `heyzack`."""
