"""Benchmarks: each writes `build/bench/NAME.json`, and `python -m benchmarks` runs them and prints the table."""
