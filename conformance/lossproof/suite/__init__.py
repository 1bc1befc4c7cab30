"""The goldens as pytest items, for `pytest --pyargs lossproof.suite`."""
