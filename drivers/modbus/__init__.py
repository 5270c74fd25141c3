"""Modbus TCP and RTU: blocks of registers read by plan, decoded as columns (README.md)."""
