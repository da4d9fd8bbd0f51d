"""A YAML of settings, checked for what its reader would pass over in silence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from spinenet.types import InputError


def check_settings(path: Path) -> None:
    """Before the parser of a command reads it; a file that is not there is left to that.

    Raises
    ------
    InputError
        If it is no text, no YAML, holds nothing or a name without any, or names a setting twice, of
        which the last would count.
    """
    if not path.is_file():
        return
    try:
        said = yaml.compose(path.read_text(encoding="utf-8-sig"), yaml.BaseLoader)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path.name} is no text in UTF-8. A file of settings (YAML) was expected; saved in "
            "another encoding, or another file, are the usual causes."
        ) from error
    except yaml.YAMLError as error:
        raise InputError(
            f"{path.name} cannot be read as settings ({' '.join(str(error).split())}). A missing "
            "colon or blanks in front of a line are the usual causes."
        ) from error
    if not isinstance(said, yaml.MappingNode):
        raise InputError(
            f"{path.name} holds no settings: lines such as 'seed: 1' were expected. Leave out "
            "--config if all shall be as usual."
        )
    seen: dict[str, int] = {}
    for name, line in _named(said, path):
        if name in seen:
            raise InputError(
                f"{path.name} names {name!r} twice, in lines {seen[name]} and {line}; only the "
                "last would count. Write both below one name, or remove one."
            )
        seen[name] = line


def _named(section: yaml.MappingNode, path: Path, above: str = "") -> Iterator[tuple[str, int]]:
    """Every name with its section's (`analyze.d_um`, which may be written so too), and its line."""
    for key, value in section.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise InputError(
                f"{path.name}, line {line}: a name of a setting was expected, not a list or a "
                "section. A template that was not filled in is the usual cause."
            )
        name = above + key.value
        if isinstance(value, yaml.ScalarNode) and not value.value and value.style is None:
            raise InputError(
                f"{path.name}, line {line}: nothing stands below {name!r}. Lines that begin with # "
                "do not count; remove the name, or give it settings."
            )
        yield name, line
        if isinstance(value, yaml.MappingNode):
            yield from _named(value, path, name + ".")
