"""Functions that the measuring scripts share: the program, the machine, and tables between marks of a results file."""

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


def program(named: Path | None) -> Path:
    """Returns the named `sat`, else the release build, else the debug build."""
    candidates = [named] if named else [ROOT / ".build" / kind / "sat" for kind in ("release", "debug")]
    found = next((path for path in candidates if path.exists()), None)
    if found is None:
        sys.exit(f"{Path(sys.argv[0]).name}: {candidates[0]} does not exist; run make build first")
    return found


def provenance(sat: Path) -> str:
    """Returns the day, the version and the machine for a table's heading."""
    version = subprocess.run([sat, "--version"], capture_output=True, text=True).stdout.strip()
    try:
        names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        names = []
    return f"{datetime.date.today()}; {version}; {names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def table(head: list[str], rows: list[list[str]], words: int = 1) -> list[str]:
    """Returns a table as lines of Markdown. The first `words` columns align left, and the columns of numbers align right."""
    rule = "|" + "---|" * words + "---:|" * (len(head) - words)
    return ["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(row) + " |" for row in rows)]


def put(path: Path, name: str, lines: list[str]) -> None:
    """Writes lines between the marks of a name, or at the end of the file if it has no such marks."""
    begin, end = (f"<!-- {name}: {word} -->" for word in ("begin", "end"))
    text = path.read_text() if path.exists() else INTRODUCTION
    part = "\n".join([begin, "", *lines, "", end])
    found = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    text = found.sub(lambda _: part, text) if found.search(text) else text.rstrip() + "\n\n" + part + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)
