"""The store: journal, history and catalogue on SQLite. Nothing skips it."""
