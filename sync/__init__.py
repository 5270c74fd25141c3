"""Durable sync: what the outbox holds reaches every sink once, in the face of what networks do."""
