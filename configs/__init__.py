"""What ships as data: the demo site, device templates, KPI catalogue and factors, dashboards, units."""
