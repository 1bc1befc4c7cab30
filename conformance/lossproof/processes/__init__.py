"""Implementations in processes of their own: the protocol, the host side of a worker, and what ends with it."""
