"""Baseline models: what the building would have used, had nothing changed."""
