"""The command `lossproof`: one file a command, imported when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click

# Module and summary of each command: `lossproof --help` shows the summaries without importing what commands need.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "list": ("list", "List implementations (and what installs them), operations and dialects; or cases."),
    "run": ("run", "Judge each IMPLEMENTATION on the golden spec."),
    "explain": ("explain", "Explain CASE: its formula, its inputs, what must come out, and what IMPLEMENTATION gives."),
    "dialects": ("dialects", "Tell what each IMPLEMENTATION was seen to do where frameworks lawfully differ."),
    "docs": ("docs", "Print what to do about a failure: all of it, or one TOPIC (loose, wrong, raised, …)."),
    "report": ("report", "Make a Markdown page from each RUN, a file of JSON lines or a folder with run.jsonl."),
    "new-adapter": ("new_adapter", "Write NAME.py, an adapter that runs as it is."),
    "fuzz": ("fuzz", "Search for inputs that IMPLEMENTATION gets wrong; needs `pip install 'lossproof[oracle]'`."),
    "strength": ("strength", "Judge the spec: run it against wrong losses, and show what catches which."),
    "env": ("env", 'List and remove the environments that `lossproof run "optax==0.2.5"` and the like have made.'),
    "spec": ("spec", "Compile and check the spec; needs `pip install 'lossproof[oracle]'`."),
    "completion": ("completion", "Print the completion script of SHELL."),
}


class _LateCommands(click.Group):
    """A group whose commands are imported by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        # The module of `lossproof list` takes the place of the built-in function here once it is imported.
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"lossproof.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=_LateCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lossproof")
def main() -> None:
    """Judge cross-entropy losses against certified answers.

    Which answers are wrong, how wrong, and why. Start with `lossproof run`.
    """
