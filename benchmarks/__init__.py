"""Speed as ratios: each row of the table is a script of its own, run as ``python -m benchmarks``."""
