"""Views under load; run with ``python -m benchmarks.dashboards [VIEW ...] [--seconds 300]``."""
