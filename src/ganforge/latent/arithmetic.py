"""Radford et al. 2016: glasses man - man + woman, with each operand a mean of latents."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.latent.groups import Group, Operand, Query, find_groups, spell
from ganforge.latent.space import Findings, Sheet, Space
from ganforge.utils.errors import UserError
from ganforge.utils.neighbours import nearest


def expected(a: Query, b: Query, c: Query) -> Query:
    """What A - B + C should be: where B cancels one of the two, the other one's value stays."""
    shared = [name for name in a if name in b and name in c]
    kept = {name: c[name] if a[name] == b[name] else a[name] for name in shared}
    return {name: kept[name] for name in shared if b[name] in (a[name], c[name])}


def share_of(labels: dict[str, Tensor], query: Query) -> dict[str, float]:
    """Share of images that have each wanted value, and all of them at once (``all``)."""
    hits = {name: labels[name] == value for name, value in query.items()}
    everything = torch.stack(list(hits.values())).all(0)
    return {name: hit.double().mean().item() for name, hit in {**hits, "all": everything}.items()}


@dataclass(frozen=True)
class Arithmetic:
    """Adds A - B + C, ``results`` times, each operand a mean of members of its group.

    A and B are means of ``n``: their difference is a direction, the surer the more are averaged.
    C is a mean of ``n_c``: the one who is changed, the more of a person the fewer are averaged.

    An operand is a list of seeds or a query, whose members are found among ``pool`` samples of at
    least ``confidence``. ``rescale`` stretches results and operands to the length that latents
    have: a mean of many is short, and its image bland.
    """

    a: Operand
    b: Operand
    c: Operand
    n: int = 100
    n_c: int = 3
    results: int = 200
    shown: int = 6
    pool: int = 8000
    confidence: float = 0.0
    rescale: bool = True
    neighbours: int = 2

    def __call__(self, space: Space) -> Findings:
        """Add, draw and, where queries say what is wanted, measure how often it is there."""
        for name in ("n", "n_c", "results"):
            if getattr(self, name) < 1:
                raise UserError(f"tool.{name}={getattr(self, name)} must be at least 1")
        operands = (self.a, self.b, self.c)
        groups = find_groups(space, operands, self.pool, self.confidence, space.rng())
        rng = space.rng(1)
        # Groups given by seeds have one mean and so one result.
        count = self.results if any(group.query is not None for group in groups) else 1
        sizes = (self.n, self.n, self.n_c)
        a, b, c = (g.means(count, n, rng) for g, n in zip(groups, sizes, strict=True))
        place = space.prior.stretch if self.rescale else torch.clone
        sums = {"A - B + C": place(a - b + c), "A + C": place(a + c)}
        images = {name: space.images(z) for name, z in sums.items()}
        numbers, lines = self._measure(space, groups, images)
        shown = min(self.shown, count)
        parts = [space.images(place(z[:shown])) for z in (a, b, c)]
        sheet = self._sheet(space, parts, {k: v[:shown] for k, v in images.items()})
        return Findings(
            {
                "operands": {name: g.words for name, g in zip("ABC", groups, strict=True)},
                "members": {name: len(g.z) for name, g in zip("ABC", groups, strict=True)},
                "results": count,
                **numbers,
            },
            lines,
            {"arithmetic": sheet, "members": self._members(space, groups)},
        )

    def _measure(
        self, space: Space, groups: Sequence[Group], images: dict[str, Tensor]
    ) -> tuple[dict[str, object], list[str]]:
        queries = [group.query for group in groups]
        wanted = expected(*queries) if all(query is not None for query in queries) else {}
        if not wanted:
            return {}, ["drawn; there is no value that the result must have"]
        numbers: dict[str, object] = {"wanted": spell(wanted, space.names)}
        lines = []
        for name, pictures in images.items():
            labels = {k: v.argmax(1) for k, v in space.logits(pictures).items()}
            shares = share_of(labels, wanted)
            numbers[name] = shares
            words = [f"{spell({k: v}, space.names)} {shares[k]:.1%}" for k, v in wanted.items()]
            together = f", all at once {shares['all']:.1%}" if len(wanted) > 1 else ""
            lines.append(f"{name}: {', '.join(words)}{together}")
        return numbers, lines

    def _sheet(self, space: Space, parts: list[Tensor], sums: dict[str, Tensor]) -> Sheet:
        """One row a result: operands, result, baseline and the nearest training images."""
        result = sums["A - B + C"]
        near = nearest(space.embed(result), space.embed(space.train.images), self.neighbours)
        found = space.train.images[near.indices.flatten()].unflatten(0, near.indices.shape)
        columns = torch.stack([*parts, result, sums["A + C"], *found.unbind(1)], 1)
        words = ["A", "- B", "+ C", "= result", "A + C"]
        words += [f"near {i + 1}" for i in range(self.neighbours)]
        return Sheet(columns.flatten(0, 1), words, [str(i + 1) for i in range(len(result))])

    def _members(self, space: Space, groups: Sequence[Group]) -> Sheet:
        """The first members of each group: what the means are means of."""
        count = min(8, *(len(group.z) for group in groups))
        images = space.images(torch.cat([group.z[:count] for group in groups]))
        return Sheet(images, [""] * count, [g.words for g in groups])
