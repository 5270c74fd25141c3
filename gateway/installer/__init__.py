"""What installers' tools know: pure functions that judge decodes, values and device maps, and files."""
