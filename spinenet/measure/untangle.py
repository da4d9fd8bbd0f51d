"""Stretches of skeleton to dendrites: crossings told from branch points, ends joined, hairpins
cut."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spinenet.geometry import arc_length, join_ends, point_at, resample
from spinenet.types import FloatArray

JOIN_GAP_UM = 4.0
JOIN_COSINE = 0.8
CROSSING_UM = 10.0
"""Shafts that cross at 20 degrees share so much of a blurred mask."""
SAME_PLACE_UM = 1.0
"""The ends of the stretches at one branch point lie within two coarse voxels of each other."""
ARM_UM = 2.0
TURN_UM = 3.0
"""On either side: at the border of a field, where two shafts touch, thinning rounds the corner."""
HAIRPIN_COSINE = 0.25
STEP_UM = 0.5

Line = FloatArray
End = tuple[int, int]
"""Which line, and which end of it: 0 the first node, 1 the last."""


def untangled(stretches: list[Line]) -> list[Line]:
    """Dendrites (N, 3) um from the unbranched stretches of a skeleton.

    Where two shafts cross in the blur they share a stretch: its four arms are paired straight
    across. At other branch points the two straightest ends make one dendrite; ends up to 4 um apart
    that lie straight ahead are joined. No dendrite turns by more than 75 degrees within 6 um: two
    of them touch there.
    """
    lines = join_ends(_across(stretches), JOIN_GAP_UM, JOIN_COSINE)
    return [piece for line in lines for piece in _cut_at_hairpins(line)]


def _across(lines: list[Line]) -> list[Line]:
    """The arms of crossings joined, each pair by a straight line: of what they share each has its
    own depth."""
    while crossing := next(_crossings(lines), None):
        shared, pairs = crossing
        gone = {shared, *(n for pair in pairs for n, _ in pair)}
        joined = [np.concatenate([_towards(lines, a), _towards(lines, b)[::-1]]) for a, b in pairs]
        lines = [line for n, line in enumerate(lines) if n not in gone] + joined
    return lines


def _crossings(lines: list[Line]) -> Iterator[tuple[int, list[tuple[End, End]]]]:
    """Lines that each join four arms, with the arms that go together: what two crossing shafts
    share, or a bridge of blur from one that passes over the other."""
    if not lines:
        return
    ends = np.array([[line[0], line[-1]] for line in lines])
    length_um = np.array([arc_length(line)[-1] for line in lines])
    for shared in np.flatnonzero(length_um <= CROSSING_UM):
        far = np.linalg.norm(ends[:, :, None] - ends[shared], axis=-1)
        near = far.min(axis=-1) <= SAME_PLACE_UM
        near[length_um < 2 * ARM_UM] = near[shared] = False
        arms: tuple[list[End], list[End]] = ([], [])
        for n, e in np.argwhere(near).tolist():
            arms[int(far[n, e].argmin())].append((n, e))
        if [len(a) for a in arms] != [2, 2] or len({n for a in arms for n, _ in a}) != 4:
            continue
        (a, b), (c, d) = arms
        ways = [[(a, c), (b, d)], [(a, d), (b, c)], [(a, b), (c, d)]]
        straight = [min(_straightness(lines, *pair) for pair in way) for way in ways]
        if max(straight) >= JOIN_COSINE:
            yield int(shared), ways[int(np.argmax(straight))]


def _straightness(lines: list[Line], a: End, b: End) -> float:
    """Cosine of the largest turn on the way from one arm straight to the other, both from where the
    blur no longer draws them to each other."""
    (p, u), (q, v) = (_free_end(_towards(lines, end)) for end in (a, b))
    ahead = (q - p) / max(float(np.linalg.norm(q - p)), 1e-9)
    return min(float(u @ ahead), -float(v @ ahead))


def _free_end(line: Line) -> tuple[FloatArray, FloatArray]:
    """The place 2 um before the end of a line, and in which direction it passes there."""
    s = arc_length(line)
    before, end = point_at(line, s, [max(s[-1] - 3 * ARM_UM, 0.0), s[-1] - ARM_UM])
    way = end - before
    return end, way / max(float(np.linalg.norm(way)), 1e-9)


def _towards(lines: list[Line], end: End) -> Line:
    """The line so that it runs towards that end."""
    n, e = end
    return lines[n] if e == 1 else lines[n][::-1]


def _cut_at_hairpins(line: Line) -> list[Line]:
    """The line, in pieces where it turns back."""
    s = arc_length(line)
    at = np.arange(TURN_UM, s[-1] - TURN_UM, STEP_UM)
    if not len(at):
        return [line]
    before, here, after = (point_at(line, s, at + shift) for shift in (-TURN_UM, 0.0, TURN_UM))
    into, out = here - before, after - here
    lengths = np.linalg.norm(into, axis=1) * np.linalg.norm(out, axis=1)
    cosine = (into * out).sum(axis=1) / np.maximum(lengths, 1e-9)
    turn = int(cosine.argmin())
    if cosine[turn] >= HAIRPIN_COSINE:
        return [line]
    fine = resample(line, STEP_UM)
    cut = int(np.searchsorted(arc_length(fine), at[turn]))
    return [*_cut_at_hairpins(fine[:cut]), *_cut_at_hairpins(fine[cut:])]
