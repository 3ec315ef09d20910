"""What came of each thing that was tried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from corrstore.datasets.errors import CorrstoreError

GOOD = (
    *("the same numbers", "refused", "found", "healed", "named as a problem", "accepted"),
    "another file, as far as its format tells",
    *("had ended", "had room", "went on to the same", "one is whole, the other refused or the same"),
)


@dataclass
class Outcomes:
    """The outcomes of one kind of damage by their number, and an example of each bad one."""

    what: str
    counted: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)

    def add(self, outcome: str, example: object) -> None:
        """Count an outcome; keep the example of one that must not be."""
        self.counted[outcome] += 1
        if outcome not in GOOD:
            self.bad.append(f"{self.what}: {outcome}: {example}")

    def attempt(self, action: Callable[[], str], example: object) -> None:
        """Count what `action` returns; an error that a user can act on is `refused`, any other one is bad."""
        try:
            outcome = action()
        except CorrstoreError:
            outcome = "refused"
        except Exception as error:
            outcome = f"a traceback of {type(error).__name__}"
            example = f"{example}: {error}"
        self.add(outcome, example)

    def __str__(self) -> str:
        rows = [f"{self.what:<34} {sum(self.counted.values()):>5}"]
        return "  ".join([*rows, *(f"{outcome}: {count}" for outcome, count in sorted(self.counted.items()))])
