"""The workloads as benchmarks of pytest-benchmark, for `pytest --pyargs lossproof.benchmarks`."""
