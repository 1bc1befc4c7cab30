"""Pages made from runs, by pure functions."""
