"""Simulated equipment that speaks the real protocols, and a cloud to send to. For demos and tests."""
