"""`lossproof completion`: the line that switches completion on in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from lossproof.cli import main


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of SHELL; put `eval "$(lossproof completion bash)"` into its start-up file."""

    completion = get_completion_class(shell)
    assert completion is not None, "click knows the shells that the argument allows"
    click.echo(completion(main, {}, "lossproof", "_LOSSPROOF_COMPLETE").source())
