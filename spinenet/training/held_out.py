"""Dendrites that training does not see: they must be known wherever they could be shown."""

from __future__ import annotations

from collections.abc import Sequence

from spinenet.io.annotated import AnnotatedStack
from spinenet.types import InputError


def check_held_out(stacks: Sequence[AnnotatedStack], hold_out: Sequence[int]) -> None:
    """Refuses to hold out dendrites that nobody traced.

    Raises
    ------
    InputError
        If a dendrite that is to be held out is none of the traced ones.
    """
    traced = {d.id for stack in stacks for d in stack.dendrites}
    strangers = sorted(set(hold_out) - traced)
    if strangers:
        raise InputError(
            f"dendrite {strangers[0]} is to be held out, but the traced dendrites are "
            f"{', '.join(map(str, sorted(traced))) or 'none'}. Only traced dendrites can be held "
            "out: their places must be known."
        )


def check_hidden(
    stack: AnnotatedStack, stacks: Sequence[AnnotatedStack], hold_out: Sequence[int]
) -> None:
    """A dendrite is held out in all sessions of its region, so each must say where it lies.

    Raises
    ------
    InputError
        If `stack` may show one without saying where.
    """
    s = stack.file.session
    region = [
        o for o in stacks if (o.file.session.animal, o.file.session.region) == (s.animal, s.region)
    ]
    traced = {d.id for other in region for d in other.dendrites}
    unknown = sorted((traced & set(hold_out)) - {d.id for d in stack.dendrites})
    named = set(stack.spines["dendrite_id"].dropna().astype(int))
    shown = [d for d in unknown if stack.labels is not None or d in named]
    if shown:
        raise InputError(
            f"dendrite {shown[0]} is to be held out, but it is not traced in session {s.index} of "
            f"{s.animal}, {s.region}, so nothing says what of {stack.file.path.name} must not be "
            "shown. Trace it there, or leave that session out (usable 0)."
        )
