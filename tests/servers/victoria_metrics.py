"""Debian's VictoriaMetrics 1.79: the v2 write API."""

from __future__ import annotations

import json
from pathlib import Path

import urllib3

from tests.servers.process import ServerProcess, answers_http, free_port, needed

USER, PASSWORD = "gateway", "only-for-tests"


class VictoriaMetrics(ServerProcess):
    """victoria-metrics on loopback, removing duplicates; keeps times to the millisecond."""

    def __init__(self, folder: Path, *, auth: bool = False) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._headers = dict(urllib3.make_headers(basic_auth=f"{USER}:{PASSWORD}")) if auth else {}
        command = [
            needed("victoria-metrics"),
            f"-storageDataPath={folder / 'vm'}",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-retentionPeriod=100y",
            "-dedup.minScrapeInterval=1ms",
        ]
        if auth:
            command += [f"-httpAuth.username={USER}", f"-httpAuth.password={PASSWORD}"]
        super().__init__(command, folder, answers_http(f"{self.url}/health"))

    def values(self, measurement: str, column: str = "value") -> list[tuple[str, int, float]]:
        """Every stored value as (point tag, time in ms, value); one stored twice would be here twice."""
        urllib3.request("GET", f"{self.url}/internal/force_flush", headers=self._headers, retries=False)
        answer = urllib3.request(
            "GET",
            f"{self.url}/api/v1/export",
            fields={"match[]": f"{measurement}_{column}"},
            headers=self._headers,
            retries=False,
        )
        return [
            (series["metric"]["point"], time, value)
            for series in map(json.loads, answer.data.splitlines())
            for time, value in zip(series["timestamps"], series["values"], strict=True)
        ]
