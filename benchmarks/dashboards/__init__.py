"""Dashboards under load; run with ``python -m benchmarks.dashboards [seconds]``."""
