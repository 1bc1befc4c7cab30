"""Fingerprints: which known fault gives exactly a wrong answer; NumPy alone."""

from lossproof.fingerprints.naming import name_fault

__all__ = ["name_fault"]
