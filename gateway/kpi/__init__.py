"""KPIs: the worker process, what feeds it, and what it makes of it."""
