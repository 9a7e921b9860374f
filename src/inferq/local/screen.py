"""Where `inferq up` prints: the greeting, and the lines of its children."""

import os
import sys

from rich.console import Console

from inferq.terminal import make_printable


class Screen(Console):
    """Output that may go away while the service goes on: a closed terminal, or the reader of a pipe.

    Nothing more is written after the first failure. A full disk counts as one, too.
    """

    def print_line(self, line: str) -> None:
        """Prints one line, without the control characters that it may contain."""
        try:
            self.print(make_printable(line), markup=False)
        except OSError:
            self.on_broken_pipe()

    def print_child_line(self, name: str, line: str) -> None:
        """Prints one line of a child, marked with the child's name."""
        self.print_line(f"{name:<8} | {line}")

    def on_broken_pipe(self) -> None:
        """Stops printing; rich calls this, too."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # for what is still in the buffer when the process ends
        os.close(nowhere)


screen = Screen(highlight=False, soft_wrap=True, emoji=False)
