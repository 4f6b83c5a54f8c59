"""Groups of latents: given by seeds, or found by asking a classifier about samples."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.latent.space import Space
from ganforge.utils.errors import UserError

Query = Mapping[str, int]
Operand = str | Mapping[str, str | int] | Sequence[int]


def parse_query(query: str | Mapping[str, str | int], names: Mapping[str, list[str]]) -> Query:
    """Turn ``glasses=1,hair=bob`` (or a mapping) into value numbers by attribute.

    ``glasses:1+hair:bob`` means the same and needs no quotes on a command line.
    Raises UserError for an attribute or a value that ``names`` does not have, or one said twice.
    """
    if isinstance(query, str):
        pairs = [re.split("[=:]", part, maxsplit=1) for part in re.split("[,+]", query)]
        items = [(pair[0].strip(), pair[-1].strip()) for pair in pairs]
    elif isinstance(query, Mapping):
        items = [(str(name), str(value)) for name, value in query.items()]
    else:
        raise UserError(f"{query} is no query: name attributes, such as glasses=1,hair=bob")
    found: dict[str, int] = {}
    for name, value in items:
        if name in found:
            raise UserError(f"the query {query} names {name} twice: an image has one value of each")
        found[name] = _value_number(name, value, names)
    return found


def _value_number(name: str, value: str, names: Mapping[str, list[str]]) -> int:
    if name not in names:
        raise UserError(
            f"the classifier knows no attribute {name!r}: there are {', '.join(names) or 'none'}"
        )
    values = names[name]
    if value in values:
        return values.index(value)
    if value.isdigit() and int(value) < len(values):
        return int(value)
    known = ", ".join(f"{i}={word}" for i, word in enumerate(values))
    raise UserError(f"attribute {name!r} has no value {value!r}: there are {known}")


def spell(query: Query, names: Mapping[str, list[str]]) -> str:
    """Write a query with the names of its values."""
    return ",".join(f"{name}={names[name][value]}" for name, value in query.items())


@dataclass(frozen=True)
class Pool:
    """Samples ``z`` (``N×D``) with what the classifier says of their images.

    ``labels`` holds the likeliest value's number, ``confidence`` its probability; both ``N``.
    """

    z: Tensor
    labels: dict[str, Tensor]
    confidence: dict[str, Tensor]
    names: Mapping[str, list[str]]

    @classmethod
    def sample(cls, space: Space, count: int, rng: torch.Generator) -> "Pool":
        """Draw ``count`` latents and classify their images."""
        z = space.prior.draw(count, rng)
        logits = space.logits(space.images(z))
        best = {name: values.softmax(1).max(1) for name, values in logits.items()}
        labels = {name: top.indices for name, top in best.items()}
        confidence = {name: top.values for name, top in best.items()}
        return cls(z, labels, confidence, space.names)

    def __len__(self) -> int:
        return len(self.z)

    def matching(self, query: Query, confidence: float = 0.0) -> Tensor:
        """Latents that match every part of ``query``; UserError where none does."""
        chosen = torch.ones(len(self), dtype=torch.bool)
        for name, value in query.items():
            chosen &= (self.labels[name] == value) & (self.confidence[name] >= confidence)
        if not chosen.any():
            sure = f" with a confidence of {confidence}" if confidence else ""
            shares = "; ".join(f"{name}: {self.shares(name)}" for name in query)
            raise UserError(
                f"none of {len(self)} samples is {spell(query, self.names)}{sure}; alone there are "
                f"{shares}: raise tool.pool or ask for something more common"
            )
        return self.z[chosen]

    def shares(self, name: str) -> str:
        """How often each value of an attribute was seen, in words."""
        values = self.names[name]
        counts = self.labels[name].bincount(minlength=len(values))
        parts = zip(values, counts.tolist(), strict=True)
        return ", ".join(f"{value} {count / len(self):.1%}" for value, count in parts)


@dataclass(frozen=True)
class Group:
    """Latents ``N×D`` that share something, and the words for it."""

    z: Tensor
    words: str
    query: Query | None = None

    def means(self, count: int, n: int, rng: torch.Generator) -> Tensor:
        """``count`` means of ``n`` different members each, ``count×D``.

        A group that was given by seeds, or that has fewer than ``n`` members, averages them all.
        """
        if self.query is None or len(self.z) <= n:
            return self.z.mean(0).expand(count, -1)
        picks = torch.stack([torch.randperm(len(self.z), generator=rng)[:n] for _ in range(count)])
        return self.z[picks].mean(1)


def _is_seeds(operand: Operand) -> bool:
    """Whether an operand is a list of seeds; UserError where it is neither that nor a query."""
    if isinstance(operand, str | Mapping):
        return False
    seeds = operand if isinstance(operand, Sequence) else ()
    if not seeds or not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise UserError(
            f"{operand} is no group of latents: give a list of seeds, such as [3,17], or a query, "
            "such as glasses=1,hair=bob"
        )
    return True


def find_groups(
    space: Space, operands: Sequence[Operand], pool: int, confidence: float, rng: torch.Generator
) -> list[Group]:
    """Latents of each operand: a list of seeds as it is, a query from ``pool`` samples."""
    queries = [
        None if _is_seeds(operand) else parse_query(operand, space.names) for operand in operands
    ]
    samples = Pool.sample(space, pool, rng) if any(q is not None for q in queries) else None
    groups = []
    for operand, query in zip(operands, queries, strict=True):
        if query is None:
            words = f"seeds {', '.join(map(str, operand))}"
            groups.append(Group(space.of_seeds(operand), words))
        else:
            z = samples.matching(query, confidence)
            groups.append(Group(z, spell(query, space.names), query))
    return groups
