"""The templates that pages are made from."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


def template(name: str) -> Template:
    """A template of this package; what it is not given is an error."""
    environment = Environment(
        loader=PackageLoader("lossproof.reports"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template(name)
