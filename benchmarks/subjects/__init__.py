"""The subjects of the rows: each function prepares a workload and returns a callable that runs it once."""
