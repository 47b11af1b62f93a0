"""What `make demo` and `make year` print while they go on."""

import sys
import time

from .act import Progress


class Console:
    """Prints what happens. On a terminal, the line of a running step is replaced when the step ends."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._begun: dict[str, float] = {}
        self._live = sys.stdout.isatty()
        self._bold = ("\033[1m", "\033[0m") if self._live else ("", "")

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def title(self, text: str) -> None:
        """Print a heading with the time that has passed."""
        self.line(f"\n{self._bold[0]}{self.elapsed():5.1f} s  {text}{self._bold[1]}")

    def line(self, text: str) -> None:
        """Print one line."""
        print(text, flush=True)

    def progress(self, step: Progress) -> None:
        """Show a step that starts or ends."""
        label = f"{step.job} · {step.step}"[:70]
        if step.outcome is None:
            self._begun[label] = step.elapsed
            if self._live:
                print(f"          ⋯ {label}", end="", flush=True)
            return
        took = step.elapsed - self._begun.pop(label, step.elapsed)
        sign = "✓" if step.outcome == "success" else "✗"
        start = "\r\033[K" if self._live else ""
        self.line(f"{start}          {sign} {label:<70} {took:6.1f} s")
