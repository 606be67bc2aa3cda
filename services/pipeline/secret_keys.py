"""Secret keys: rotation. What older keys sealed is sealed anew with the newest, a batch at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from services.domain.users import Actor
from services.pipeline.acts import noting
from services.runtime import Runtime
from services.storage import seals

BATCH = 200
"""Texts in one transaction: other writers wait for no longer."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation came to."""

    resealed: int
    lost: int
    """Addresses given up because no key that is set opens them."""


def rotate(
    rt: Runtime, actor: Actor, *, forget_lost: bool = False, progress: Callable[[int, int], None] | None = None
) -> Rotated:
    """Seal everything with the newest secret key. Stopped halfway, it goes on where it was.

    Raises `WrongKey` for what no key opens; with `forget_lost` that is given up instead.
    """
    with noting(rt, actor, "secret.rotate", "") as said:
        total = sum(stale(rt).values())
        done = lost = 0
        while True:
            with rt.writing() as session:
                resealed, gone = seals.reseal(session, limit=BATCH, forget_lost=forget_lost)
            if not resealed and not gone:
                break
            done, lost = done + resealed, lost + gone
            rt.checkpoint("secret.rotated")
            if progress is not None:
                progress(done + lost, total)
        said.after = {"resealed": done, "lost": lost}
    return Rotated(resealed=done, lost=lost)


def stale(rt: Runtime) -> Counter[str]:
    """How many sealed texts depend on older keys, by the keys' names."""
    with rt.reading() as session:
        current = seals.seals_in(session).current
        return Counter({name: number for name, number in seals.keys_in_use(session).items() if name != current})
