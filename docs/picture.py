#!/usr/bin/env python3
"""Draws docs/check.svg from what `gradprobe check` prints on a terminal.

    cargo build && python3 docs/picture.py
"""

import os
import pathlib
import re
import subprocess
import sys
from xml.sax.saxutils import escape

ROOT = pathlib.Path(__file__).resolve().parent.parent
NETWORK = "examples/digits_sigmoid_12.toml"
COLUMN, LINE, MARGIN, SIZE = 8.4, 19.0, 18.0, 14.0
# Escape sequences to classes of the style sheet.
CLASSES = {"0": "", "2": "dim", "1;31": "bad", "1;32": "good", "1;33": "middling"}
EIGHTHS = " ▏▎▍▌▋▊▉█"

STYLE = """
  .paper { fill: #ffffff; stroke: #d0d7de } text { fill: #1f2328 } .bar { fill: #0969da }
  .dim { fill: #59636e } .bad { fill: #b3141d } .good { fill: #116329 } .middling { fill: #7d4e00 }
  text { font: 14px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; white-space: pre }
  .bad, .good, .middling { font-weight: bold }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; stroke: #3d444d } text { fill: #e6edf3 } .bar { fill: #58a6ff }
    .dim { fill: #9198a1 } .bad { fill: #ff8f88 } .good { fill: #56d364 } .middling { fill: #e3b341 }
  }
"""


def printed(colour):
    """What the program prints, with escape sequences or without."""
    environment = {**os.environ, "CLICOLOR_FORCE": "1"} if colour else os.environ
    program = ROOT / "target" / "debug" / "gradprobe"
    command = [program, "check", NETWORK]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if run.returncode not in (0, 1):
        sys.exit(run.stderr)
    return run.stdout


def runs(line, kind):
    """The pieces of a line: column, text, class; and the class that the next line starts with."""
    pieces, column = [], 0
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if part.startswith("\x1b"):
            kind = CLASSES[part[2:-1]]
            continue
        # Words that a single space parts stay together.
        for match in re.finditer(r"\S+(?: \S+)*", part):
            for piece in re.finditer(r"[▏▎▍▌▋▊▉█]+|[^▏▎▍▌▋▊▉█]+", match.group()):
                at = column + match.start() + piece.start()
                pieces.append((at, piece.group(), kind))
        column += len(part)
    return pieces, kind


def drawn(column, row, text, kind):
    x, top = MARGIN + column * COLUMN, MARGIN + row * LINE
    if text[0] in EIGHTHS:
        # Drawn, because fonts do not agree on how wide these characters are.
        width = sum(EIGHTHS.index(c) for c in text) / 8 * COLUMN
        return f'<rect class="bar" x="{x:.1f}" y="{top + 3:.1f}" width="{width:.1f}" height="13"/>'
    name = f' class="{kind}"' if kind else ""
    width = len(text.rstrip()) * COLUMN
    return (
        f'<text{name} x="{x:.1f}" y="{top + SIZE:.1f}" textLength="{width:.1f}">'
        f"{escape(text.rstrip())}</text>"
    )


def main():
    prompt = f"$ gradprobe check {NETWORK}"
    lines = [f"\x1b[2m{prompt}\x1b[0m", *printed(True).rstrip("\n").split("\n")]
    body, kind = [], ""
    for row, line in enumerate(lines):
        pieces, kind = runs(line, kind)
        body += [drawn(column, row, text, kind) for column, text, kind in pieces]
    width, height = 2 * MARGIN + 80 * COLUMN, 2 * MARGIN + len(lines) * LINE
    svg = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" role="img" aria-labelledby="title text">
<title id="title">gradprobe check on twelve sigmoid layers</title>
<desc id="text">{escape(printed(False))}</desc>
<style>{STYLE}</style>
<rect class="paper" x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1:.0f}" rx="8"/>
{chr(10).join(body)}
</svg>
"""
    (ROOT / "docs" / "check.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
