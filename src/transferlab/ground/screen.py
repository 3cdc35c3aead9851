"""What is shown on the terminal: tables of names and values."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from transferlab.ground.escapes import visible


def console(stderr: bool = False) -> Console:
    """A console that does not wrap lines where nobody looks at a terminal; `stderr` where data go to stdout."""
    screen = Console(highlight=False, stderr=stderr)
    if not screen.is_terminal:
        screen = Console(highlight=False, width=160, stderr=stderr)
    return screen


def facts(rows: dict[str, str], title: str) -> Table:
    """A two-column table of names and values."""
    table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False, title_style="bold")
    # a title wider than its table would be broken into lines
    table.min_width = len(title)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        # as text: neither markup of rich nor a terminal's codes are obeyed
        table.add_row(Text(visible(name)), Text(visible(value)))
    return table
