"""A clock that shows the seconds that workers report, in place of those that pass here."""

from __future__ import annotations


class WorkerClock:
    """A timer for pytest-benchmark: between two looks at it lies what was added in between."""

    def __init__(self) -> None:
        self.__name__ = type(self).__name__  # what pytest-benchmark calls its timer
        self._seconds = 0.0

    def __call__(self) -> float:
        """Seconds since the start."""
        return self._seconds

    def add(self, seconds: float) -> None:
        """Lets so many seconds pass."""
        self._seconds += seconds
