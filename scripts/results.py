"""What the scripts that measure have in common: the program, the machine, and tables between marks in a results file."""

import datetime
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEFAULT = ROOT / "docs" / "results.md"
INTRODUCTION = """# Results

These are the results as measured, good or bad. The command under each heading repeats the measurement.
"""


def program(given: Path | None) -> Path:
    """The `sat` that was named, else the release build, else the debug build."""
    built = [given] if given else [ROOT / ".build" / kind / "sat" for kind in ("release", "debug")]
    found = next((path for path in built if path.exists()), None)
    if found is None:
        sys.exit(f"{Path(sys.argv[0]).name}: {built[0]} is not there; run make build first")
    return found


def provenance(sat: Path) -> str:
    """Day, version and machine, as a table's heading names them."""
    version = subprocess.run([sat, "--version"], capture_output=True, text=True).stdout.strip()
    try:
        names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        names = []
    return f"{datetime.date.today()}; {version}; {names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def table(head: list[str], rows: list[list[str]], words: int = 1) -> list[str]:
    """Lines of Markdown; the first columns, of words, to the left, numbers to the right."""
    rule = "|" + "---|" * words + "---:|" * (len(head) - words)
    return ["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(row) + " |" for row in rows)]


def put(path: Path, name: str, lines: list[str]) -> None:
    """Puts lines between the marks of that name, at the end of the file if they are not there."""
    begin, end = (f"<!-- {name}: {word} -->" for word in ("begin", "end"))
    text = path.read_text() if path.exists() else INTRODUCTION
    part = "\n".join([begin, "", *lines, "", end])
    found = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    text = found.sub(lambda _: part, text) if found.search(text) else text.rstrip() + "\n\n" + part + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)
