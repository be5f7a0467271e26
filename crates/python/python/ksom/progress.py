"""How a training goes: a bar where tqdm is installed, in notebooks too, else a line now and then."""
from __future__ import annotations

import sys
import time
from typing import Any, Dict, Optional

#: Seconds between two lines.
PAUSE = 10.0


class Progress:
    """Shows events while it is open."""

    def __init__(self, shown: bool):
        self.shown = shown
        self.bar: Any = None
        self.of = 0
        self.validated: Optional[float] = None
        self.last = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: Any) -> None:
        if self.bar is not None:
            self.bar.close()

    def tell(self, event: Dict[str, Any]) -> None:
        """Shows an event."""
        if not self.shown:
            return
        if event["kind"] == "started":
            self.of = event["of"]
            self.bar = _bar(self.of, event["step"])
        elif event["kind"] == "step":
            self._step(event)
        elif event["kind"] == "validated":
            self.validated = event["mse"]
            if self.bar is None:
                self._line(f"step {event['step']} of {self.of}: validation mse {event['mse']:.4g}")

    def _step(self, event: Dict[str, Any]) -> None:
        if self.bar is not None:
            self.bar.update(event["step"] - self.bar.n)
            valid = {} if self.validated is None else {"valid": f"{self.validated:.4g}"}
            self.bar.set_postfix(mse=f"{event['reconstruction']:.4g}", **valid, refresh=False)
        elif time.monotonic() - self.last >= PAUSE:
            speed = f"{event['images_per_s']:.0f} pictures/s"
            self._line(f"step {event['step']} of {self.of}: mse {event['reconstruction']:.4g}, {speed}")

    def _line(self, text: str) -> None:
        self.last = time.monotonic()
        print(text, file=sys.stderr, flush=True)


def _bar(of: int, done: int) -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(total=of, initial=done, unit="step")
