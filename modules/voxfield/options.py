"""The words of one command, as argparse reads them."""

import argparse


def parse(command: str, words: list[str], *flags: tuple[str, dict[str, object]]) -> argparse.Namespace:
    """Flags and keywords of `add_argument` in pairs; abbreviations are refused."""
    parser = argparse.ArgumentParser(prog=f"voxfield {command}", allow_abbrev=False)
    for flag, keywords in flags:
        parser.add_argument(flag, **keywords)  # type: ignore[arg-type]  # argparse's keywords have no common type
    return parser.parse_args(words)
