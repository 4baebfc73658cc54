"""A bound on the work of an iteration whose length nobody can tell beforehand.

Counted in floating-point operations, roughly, not in seconds: what is refused on one machine is refused on all.
"""

from __future__ import annotations

from dataclasses import dataclass

from voxfield.errors import InputError


class OutOfWork(InputError):
    """The work was used up before there was a solution; more points would take still more of it."""


@dataclass
class Budget:
    """Operations that may be spent.

    limit   of all operations together; a second has a few 1e9
    advice  what to do where it is used up, the end of a sentence
    """

    limit: float
    advice: str
    spent: float = 0.0

    def spend(self, operations: float, what: str) -> None:
        """Count operations on `what`, a noun in the plural. Raises OutOfWork where there were too many."""
        self.spent += operations
        if self.spent > self.limit:
            raise OutOfWork(f"{what} took more than {self.limit:.0e} operations without a solution: {self.advice}")
