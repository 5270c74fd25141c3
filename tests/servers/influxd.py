"""Debian's InfluxDB 1.6: the v1 API."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

from tests.servers.process import ServerProcess, answers_http, free_port, needed

USER, PASSWORD = "gateway", "only-for-tests"

_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
[monitor]
  store-enabled = false
[subscriber]
  enabled = false
[continuous_queries]
  enabled = false
[http]
  bind-address = "127.0.0.1:{http}"
  auth-enabled = {auth}
  log-enabled = false
"""


class Influxd(ServerProcess):
    """influxd in a folder of its own, with the database `building`; every listener on loopback."""

    database = "building"

    def __init__(self, folder: Path, *, auth: bool = False) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._auth = auth
        config = folder / "influxdb.conf"
        config.write_text(
            _CONFIG.format(rpc=free_port(), http=self.port, folder=folder, auth=str(auth).lower())
        )
        command = [needed("influxd"), "run", "-config", str(config)]
        super().__init__(command, folder, answers_http(f"{self.url}/ping"))

    def create(self) -> None:
        """Make the database and, with authentication, the user."""
        if self._auth:
            self.query(f"CREATE USER {USER} WITH PASSWORD '{PASSWORD}' WITH ALL PRIVILEGES")
        self.query(f"CREATE DATABASE {self.database}")

    def query(self, text: str) -> list[dict[str, Any]]:
        """The series of an InfluxQL answer, times in ns."""
        arguments = urlencode({"db": self.database, "q": text, "epoch": "ns"})
        answer = urllib3.request(
            "POST",
            f"{self.url}/query?{arguments}",
            headers=urllib3.make_headers(basic_auth=f"{USER}:{PASSWORD}"),
            retries=False,
        )
        if answer.status != 200:
            raise RuntimeError(f"{text}: {answer.data.decode()}")
        series: list[dict[str, Any]] = answer.json()["results"][0].get("series", [])
        return series

    def values(self, measurement: str, column: str = "value") -> dict[tuple[str, int], float]:
        """Every stored value of a measurement by (point tag, time ns)."""
        text = f'SELECT "{column}" FROM "{measurement}" GROUP BY point'  # noqa: S608  (InfluxQL, our names)
        return {
            (series["tags"]["point"], time): value
            for series in self.query(text)
            for time, value in series["values"]
        }
