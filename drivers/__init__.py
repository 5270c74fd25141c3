"""Field drivers: Modbus, BACnet and MQTT. They own the field vocabulary and know nothing of the gateway."""
