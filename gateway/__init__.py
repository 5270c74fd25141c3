"""The gateway: configuration, polling, ingest, store, KPIs, page. The only package that knows the others."""

__version__ = "0.1.0"
