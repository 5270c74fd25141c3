from tests.servers.fixtures import influxd, victoria_metrics

__all__ = ["influxd", "victoria_metrics"]
