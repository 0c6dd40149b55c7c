#!/usr/bin/env python3
"""Runs a command in a terminal and writes what its screen shows as a page of HTML: once while it runs, and once when it has ended.

    dev/site/terminal.py OUT.html SHOWN COMMAND ARGUMENT...

The command runs in a pseudo-terminal of 100 columns. The first screen is the last one in which the text SHOWN occurs and the bar is not full. Needs
`pip install pyte`.
"""

from __future__ import annotations

import fcntl
import html
import os
import pty
import struct
import sys
import termios
from pathlib import Path

import pyte

COLUMNS, ROWS = 100, 30
COLOURS = {"red": "#f7768e", "green": "#9ece6a", "brown": "#e0af68", "blue": "#7aa2f7", "magenta": "#bb9af7", "cyan": "#7dcfff", "default": "#d5d9e4"}
PAGE = """<!doctype html><meta charset="utf-8"><title>{title}</title>
<style>
body {{ margin: 0; background: #1b1e28; width: max-content; }}
pre {{ margin: 0; padding: 18px 22px; color: {text}; font: 15px/1.35 "DejaVu Sans Mono", "Liberation Mono", monospace; }}
hr {{ margin: 0 22px; border: 0; border-top: 1px solid #3b4058; }}
</style>
<pre>{running}</pre><hr><pre>{ended}</pre>
"""


def main() -> None:
    out, shown, *command = sys.argv[1:]
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    prompt = f"$ {' '.join(['virpack', *command[1:]])}\r\n"
    stream.feed(prompt.encode())
    running = ""
    process, terminal = pty.fork()
    if process == 0:
        # The parent writes a byte when the terminal has its size.
        os.read(0, 1)
        os.environ["TERM"] = "xterm-256color"
        os.execv(command[0], command)
    attributes = termios.tcgetattr(terminal)
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    os.write(terminal, b"\n")
    while data := read(terminal):
        stream.feed(data)
        lines = "\n".join(screen.display)
        if shown in lines and "100 %" not in lines:
            running = marked(screen)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if status != 0 or not running:
        sys.exit(f"{command[0]} ended with {status}; {shown!r} was {'seen' if running else 'not seen'}:\n" + "\n".join(screen.display))
    Path(out).write_text(PAGE.format(title=html.escape(prompt.strip()), text=COLOURS["default"], running=running, ended=marked(screen)))


def read(terminal: int) -> bytes:
    """What the command has written; nothing when it has ended."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def marked(screen: pyte.Screen) -> str:
    """The screen's text with its colours, without empty lines at the end."""
    lines = []
    for row in range(ROWS):
        cells = [screen.buffer[row][column] for column in range(COLUMNS)]
        while cells and cells[-1].data == " ":
            cells.pop()
        lines.append("".join(cell(one) for one in cells))
    return "\n".join(lines).rstrip()


def cell(char: pyte.screens.Char) -> str:
    text = html.escape(char.data)
    style = f"color:{COLOURS.get(char.fg, '#' + char.fg)};" if char.fg != "default" else ""
    style += "font-weight:bold;" if char.bold else ""
    return f'<span style="{style}">{text}</span>' if style else text


if __name__ == "__main__":
    main()
