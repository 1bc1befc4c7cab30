"""Which combinations of parameter values, dtypes, ranks, layouts and sizes the cases cover, and which they should."""
