"""A YAML of settings, checked for what its reader would pass over in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
        said = yaml.load(path.read_text(encoding="utf-8-sig"), _Strict)
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
    if not isinstance(said, dict):
        raise InputError(
            f"{path.name} holds no settings: lines such as 'seed: 1' were expected. Leave out "
            "--config if all shall be as usual."
        )


class _Strict(yaml.SafeLoader):
    """Refuses a name that stands twice, and one with nothing after it (`null` is a word)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if isinstance(value, yaml.ScalarNode) and not value.value and value.style is None:
                raise InputError(
                    f"line {line} of the settings: nothing stands below {key.value!r}. Lines that "
                    "begin with # do not count; remove the name, or give it settings."
                )
            if key.value in seen:
                raise InputError(
                    f"the settings name {key.value!r} twice, in lines {seen[key.value]} and "
                    f"{line}; only the last would count. Write both below one name, or remove one."
                )
            seen[key.value] = line
        return super().construct_mapping(node, deep)
