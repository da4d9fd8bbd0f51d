"""The `spinenet` command. Help costs no heavy import: each command imports its rooms itself."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spinenet import __version__
from spinenet.commands import BAD_INPUT, COMMANDS, DONE, FAULT, STOPPED, make_parser

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

CONFIG, YAML = "--config", (".yaml", ".yml")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (0 done, 1 our fault, 2 input, 3 some failed)."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return DONE
    if arguments[0] in ("-V", "--version"):
        print(f"spinenet {__version__}")
        return DONE
    name, *rest = arguments
    if name not in COMMANDS:
        print(f"spinenet: there is no command {name!r}.\n\n{_help()}", file=sys.stderr)
        return BAD_INPUT
    return _run(name, rest)


def _help() -> str:
    lines = [
        f"spinenet {__version__}: dendritic spines across two-photon imaging sessions",
        "",
        "usage: spinenet COMMAND ...      spinenet COMMAND --help",
        "",
    ]
    lines += [f"  {name:<10} {summary}" for name, (_, _, summary) in COMMANDS.items()]
    return "\n".join(lines)


def _run(name: str, arguments: list[str]) -> int:
    from spinenet.types import InputError

    add, run, summary = COMMANDS[name]
    quiet, verbose = "--quiet" in arguments, "--verbose" in arguments
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s: %(message)s", force=True)
    if quiet:  # unsaid, but kept for the report
        logging.getLogger().handlers[0].setLevel(logging.ERROR)
    if not verbose:  # of a damaged file our own paragraph says it better
        logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        parser = make_parser(name, summary)
        add(parser)
        return run(_settings(name, parser, arguments))
    except SystemExit as stop:
        return DONE if not stop.code else BAD_INPUT
    except InputError as error:
        print(f"spinenet {name}: {error}", file=sys.stderr)
        return BAD_INPUT
    except (FileExistsError, NotADirectoryError) as error:
        print(
            f"spinenet {name}: {error.filename} is a file where a folder was expected. Give a "
            "folder, or another name.",
            file=sys.stderr,
        )
        return BAD_INPUT
    except PermissionError as error:
        print(
            f"spinenet {name}: {error.filename} may not be read or written. Another owner, a "
            "read-only disk or a file open in another program are the usual causes.",
            file=sys.stderr,
        )
        return BAD_INPUT
    except BrokenPipeError:  # who read the output has read enough
        return DONE
    except OSError as error:
        where = error.filename or "a file"
        print(
            f"spinenet {name}: {where} could not be read or written ({error.strerror or error}). A "
            "full disk, a path that is too long or a drive that has gone are the usual causes; "
            "mend it and give the same command again.",
            file=sys.stderr,
        )
        return BAD_INPUT
    except KeyboardInterrupt:
        print(
            "stopped; the same infer, link, demo or train command goes on where it was",
            file=sys.stderr,
        )
        return STOPPED
    except Exception:
        traceback.print_exc()
        print("This is a fault of spinenet; please report it with the text above.", file=sys.stderr)
        return FAULT


def _settings(name: str, parser: ArgumentParser, arguments: list[str]) -> Namespace:
    """What was typed and what files say, as the command takes it."""
    from spinenet.types import InputError

    given = parser.parse_args(_files_first(name, arguments))
    told = given[given.what] if name == "train" else given
    # a variable of the shell that is not set would mean the folder one stands in
    if name != "evaluate" and "out" in told and not told.out.strip():
        raise InputError("--out is blank. Give a folder for the results.")
    try:
        return parser.instantiate(given)
    except TypeError as error:
        raise InputError(
            "the settings cannot be read: a section of a YAML, such as net, analyze or trainer, "
            "that holds a value where its own settings were expected is the usual cause. Write "
            "them below it, indented, as --help names them."
        ) from error


def _files_first(name: str, arguments: list[str]) -> list[str]:
    """The arguments with every `--config FILE`, and every section that a YAML is given for, before
    the rest, so that what was typed goes before what a file says, wherever it stands; files
    checked, and found where they are our own."""
    from spinenet.io.settings import check_settings

    files: list[str] = []
    others: list[str] = []
    words = [part for word in arguments for part in _parted(word)]
    while words:
        flag, *after = words
        if flag == CONFIG or (flag.startswith("--") and after and after[0].endswith(YAML)):
            files += [flag, *map(_shipped, after[:1])]
            words = after[1:]
        else:
            others.append(flag)
            words = after
    for file in files[1::2]:
        check_settings(Path(file))
    first = 1 if name == "train" else 0  # which net is told before its settings
    return [*others[:first], *files, *others[first:]]


def _parted(word: str) -> list[str]:
    """A flag and the file behind its sign of equality; else the word as it is."""
    flag, equals, value = word.partition("=")
    return [flag, value] if equals and (flag == CONFIG or value.endswith(YAML)) else [word]


def _shipped(name: str) -> str:
    """`configs/NAME.yaml` means our own where there is no such file: an installed package has them
    inside. Of any other folder a file is meant that must be there."""
    from spinenet.io.weights import shipped_folder

    ours = shipped_folder("configs") / Path(name).name
    meant = Path(name).parts[:-1] == ("configs",) and not Path(name).exists()
    return str(ours) if meant and ours.is_file() else name


def entry() -> None:
    """The console script."""
    sys.exit(main())
