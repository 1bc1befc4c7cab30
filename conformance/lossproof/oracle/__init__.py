"""The oracle: certified answers with error bounds, one file an operation; needs python-flint."""
