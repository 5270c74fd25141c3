"""Debian's mosquitto: an MQTT broker."""

from __future__ import annotations

from pathlib import Path

from tests.servers.process import ServerProcess, answers_tcp, free_port, needed


class Mosquitto(ServerProcess):
    """mosquitto on loopback, open to anonymous clients, keeping sessions in its folder."""

    def __init__(self, folder: Path, *, extra: str = "") -> None:
        self.port = free_port()
        config = folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
            f"persistence true\npersistence_location {folder}/\nautosave_interval 1\n{extra}\n"
        )
        super().__init__([needed("mosquitto"), "-c", str(config)], folder, answers_tcp(self.port))
