"""Write docs/stages/<stage>.md from the registry; with --check, only say whether they are current."""

import sys
from pathlib import Path

from voxfield.cards import card
from voxfield.registry import get, names

FOLDER = Path(__file__).parent / "stages"


def main(check: bool) -> int:
    """Write or compare every card; returns the number of cards that differ."""
    FOLDER.mkdir(exist_ok=True)
    wanted = {FOLDER / f"{name}.md": card(get(name)) for name in names()}
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text() != text]
    stale += [path for path in FOLDER.glob("*.md") if path not in wanted]
    if check:
        for path in stale:
            sys.stderr.write(f"{path.name} is not current; run `make docs`\n")
        return len(stale)
    for path, text in wanted.items():
        path.write_text(text)
    for path in set(FOLDER.glob("*.md")) - set(wanted):
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
