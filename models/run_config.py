"""Reads a run's config.yaml, in the part of YAML that `sat` writes: mappings, lists and plain values in blocks."""

import os
import re
from pathlib import Path

ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)")
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def read(path: str | os.PathLike) -> dict:
    """Returns the configuration as nested dictionaries. Raises ValueError with one sentence if the file is not a configuration."""
    try:
        text = Path(path).read_text()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); expected the config.yaml of a run") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not the config.yaml of a run, because it is not a text file") from error
    lines = [
        (len(line) - len(line.lstrip()), line.strip())
        for line in text.splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    value, rest = _block(lines, path) if lines else (None, [])
    if rest or not isinstance(value, dict):
        raise ValueError(f"{path} is not the config.yaml of a run")
    return value


def number(value: float | int | str) -> float:
    """Converts a number of a configuration: 0.3, or a fraction such as 8/255."""
    if isinstance(value, str):
        above, _, below = value.partition("/")
        return float(above) / float(below or 1)
    return float(value)


def _block(lines: list[tuple[int, str]], path: object) -> tuple[object, list[tuple[int, str]]]:
    """Parses the value that starts in the first line. Returns it with the lines after it."""
    indent = lines[0][0]
    if lines[0][1].startswith("- "):
        items = []
        while lines and lines[0][0] == indent and lines[0][1].startswith("- "):
            # The indentation of an item's first line is the column in which its text begins.
            item = [(indent + 2, lines[0][1][2:].strip())]
            lines = lines[1:]
            while lines and lines[0][0] > indent:
                item.append(lines[0])
                lines = lines[1:]
            is_mapping = re.match(r"[\w.-]+:( |$)", item[0][1])
            items.append(_block(item, path)[0] if is_mapping else _scalar(item[0][1]))
        return items, lines
    mapping = {}
    while lines and lines[0][0] == indent and not lines[0][1].startswith("- "):
        key, colon, rest = lines[0][1].partition(":")
        if not colon:
            raise ValueError(f"{path} has a line that is not a setting: {lines[0][1]}")
        lines = lines[1:]
        if rest.strip():
            mapping[key] = _scalar(rest.strip())
        elif lines and (lines[0][0] > indent or (lines[0][0] == indent and lines[0][1].startswith("- "))):
            mapping[key], lines = _block(lines, path)
        else:
            mapping[key] = None
    return mapping, lines


def _scalar(text: str) -> object:
    if text.startswith(("[", "{")):
        inner = [part.strip() for part in text[1:-1].split(",") if part.strip()]
        if text.startswith("["):
            return [_scalar(part) for part in inner]
        return {key.strip(): _scalar(value.strip()) for key, _, value in (part.partition(":") for part in inner)}
    if text[0] == "'":
        return text[1:-1].replace("''", "'")
    if text[0] == '"':
        return ESCAPE.sub(lambda found: chr(int(found[1][1:], 16)) if len(found[1]) > 1 else found[1], text[1:-1])
    if text in ("true", "false"):
        return text == "true"
    if NUMBER.fullmatch(text):
        return int(text) if re.fullmatch(r"[-+]?\d+", text) else float(text)
    return text
