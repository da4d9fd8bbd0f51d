"""The matching head: is this spine of one session that spine of another?

A Siamese net over two sets of spines. The same weights read both sets, and exchanging the sets
leaves the answer as it is. Spines look at their neighbours and at their likely partners in turn, so
that a spine knows the pattern it stands in, and whether its neighbours moved as it would have to
(after LightGlue, Lindenberger 2023). The answer begins as the log odds of the places alone; the net
learns what to add.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

N_ABOUT = 4
PLANES, PORTRAIT_NDIM = 5, 4
WIDTH, HEADS, LAYERS = 48, 4, 3
DROPOUT = 0.1
SCATTER_UM = (0.4, 0.45, 0.9)
"""Of places along, sideways and upward; the trained weights know no other."""
LARGEST = 20.0


@dataclass(frozen=True)
class SpinePairs:
    """Spines (N) of one or more pairs of sessions; numbers count through all of them.

    about (N, 4); portraits (N, 5, 17, 17), or what `look` made of them (N, 48); near (2, S): spine
    and neighbour in its own session, and how the neighbour lies (S, 3); across (2, C): spine of one
    session and of the other, how the second lies seen from the first (C, 3) and back (C, 3), and
    log odds of their places (C,).
    """

    about: Tensor
    portraits: Tensor
    near: Tensor
    near_um: Tensor
    across: Tensor
    forth_um: Tensor
    back_um: Tensor
    log_odds: Tensor

    @classmethod
    def join(cls, pairs: list[SpinePairs]) -> SpinePairs:
        """Many pairs as one, none of which sees another."""
        first = torch.tensor([0, *(len(p.about) for p in pairs)]).cumsum(0)
        numbered = ("near", "across")
        parts = {
            f.name: [
                getattr(p, f.name) + (n if f.name in numbered else 0)
                for p, n in zip(pairs, first.tolist(), strict=False)
            ]
            for f in fields(cls)
        }
        return cls(**{k: torch.cat(v, dim=1 if k in numbered else 0) for k, v in parts.items()})


class SiameseMatcher(nn.Module):
    """`SpinePairs` -> (C,) log odds that the two spines of each pair in `across` are one, rivals
    left aside."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(PLANES, 16, 3, padding=1),
            nn.GELU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.GELU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 32, 3),
            nn.GELU(),
            nn.Flatten(),
            nn.Dropout(DROPOUT),
            nn.Linear(32 * 4, WIDTH),
        )
        self.first = nn.Sequential(
            nn.Linear(N_ABOUT + WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH)
        )
        self.beside = nn.ModuleList(_Attend() for _ in range(LAYERS))
        self.across = nn.ModuleList(_Attend() for _ in range(LAYERS))
        self.update = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(3 * WIDTH),
                nn.Linear(3 * WIDTH, 2 * WIDTH),
                nn.GELU(),
                nn.Dropout(DROPOUT),
                nn.Linear(2 * WIDTH, WIDTH),
            )
            for _ in range(LAYERS)
        )
        self.lie = nn.Sequential(nn.Linear(_N_LIE + 1, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))
        last = nn.Linear(2 * WIDTH, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.alike = nn.Sequential(
            nn.LayerNorm(4 * WIDTH + 1),
            nn.Linear(4 * WIDTH + 1, 2 * WIDTH),
            nn.GELU(),
            nn.Dropout(DROPOUT),
            last,
        )
        self.trust_places = nn.Parameter(torch.ones(()))

    def forward(self, pairs: SpinePairs) -> Tensor:
        i, j = pairs.across
        both = torch.cat([i, j]), torch.cat([j, i])
        look = pairs.portraits
        if look.ndim == PORTRAIT_NDIM:
            look = self.look(look)
        x = self.first(torch.cat([pairs.about, look], dim=1))
        odds = pairs.log_odds[:, None] / 6
        forth = torch.cat([_lie(pairs.forth_um), odds], dim=1)
        back = torch.cat([_lie(pairs.back_um), odds], dim=1)
        seen = torch.cat([forth, back])
        beside = torch.cat([_lie(pairs.near_um), torch.zeros_like(pairs.near_um[:, :1])], dim=1)
        for own, other, update in zip(self.beside, self.across, self.update, strict=True):
            around = own(x, pairs.near[0], pairs.near[1], beside)
            opposite = other(x, both[0], both[1], seen)
            x = x + update(torch.cat([x, around, opposite], dim=1))
        lie = self.lie(forth) + self.lie(back)
        same_look = nn.functional.cosine_similarity(look[i], look[j], dim=1)[:, None]
        pair = [x[i] + x[j], (x[i] - x[j]).abs(), x[i] * x[j], lie, same_look]
        more = self.alike(torch.cat(pair, dim=1))[:, 0]
        return (self.trust_places * pairs.log_odds + more).clamp(max=LARGEST)


_N_LIE = 10


def _lie(apart_um: Tensor) -> Tensor:
    """(E, 3) um -> (E, 10) how one spine lies to another, near and far alike."""
    near = apart_um / torch.tensor(SCATTER_UM, device=apart_um.device)
    far = torch.log1p((near**2).sum(1, keepdim=True))
    return torch.cat([apart_um / 4, torch.tanh(near), (near**2).clamp(max=16) / 8, far], dim=1)


class _Attend(nn.Module):
    """Spines look at others along edges; a spine that nobody suits looks at nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)
        self.edge = nn.Sequential(
            nn.Linear(_N_LIE + 1, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH + HEADS)
        )

    def forward(self, x: Tensor, who: Tensor, whom: Tensor, edge: Tensor) -> Tensor:
        """(N, W) spines, edges from `who` (E,) to `whom` (E,) that lie as `edge` (E, 11)."""
        said, bias = self.edge(edge).split([WIDTH, HEADS], dim=1)
        split = (-1, HEADS, WIDTH // HEADS)
        q, k = self.query(x)[who].view(split), self.key(x)[whom].view(split)
        score = (q * k).sum(-1) / (WIDTH // HEADS) ** 0.5 + bias
        weight = torch.exp(score.clamp(max=LARGEST))
        total = torch.ones(len(x), HEADS, device=x.device).index_add(0, who, weight)
        value = (self.value(x)[whom] + said).view(split) * weight[..., None]
        out = torch.zeros(len(x), *value.shape[1:], device=x.device).index_add(0, who, value)
        return (out / total[..., None]).flatten(1)


def match_loss(log_odds: Tensor, across: Tensor, same: Tensor, alone: Tensor) -> Tensor:
    """Negative log-likelihood of who is whom, right pairs and lonely spines weighing alike.

    Parameters
    ----------
    log_odds: (C,) of the pairs `across` (2, C)
    same: (C,) which pairs are one spine
    alone: (N,) which spines have no partner in the other session
    """
    rivals = torch.ones(len(alone), device=log_odds.device)
    rivals = rivals.index_add(0, across.flatten(), torch.exp(log_odds).repeat(2))
    total = torch.log(rivals[across[0]] + rivals[across[1]] - 1 - torch.exp(log_odds))
    linked = (total - log_odds)[same]
    lonely = torch.log(rivals[alone])
    parts = [part.mean() for part in (linked, lonely) if len(part)]
    return sum(parts, torch.zeros((), device=total.device))
