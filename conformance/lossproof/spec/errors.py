"""The error of a spec that cannot be read."""


class SpecError(Exception):
    """A file of the spec breaks a rule; the message names the file, the line, the place, the wish and the value."""
