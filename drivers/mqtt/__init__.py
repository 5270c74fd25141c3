"""MQTT: sensors that send on their own, through a broker."""
