"""Environments that adapters run in: what a command line asks for, how they are made, where they are kept."""
