"""What a search by Optuna may choose from, written as Hydra writes sweeps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from ganforge.utils.errors import UserError


@dataclass
class Space:
    """Keys that are searched, keys that are set, and more keys where a choice asks for them."""

    searched: dict[str, BaseDistribution] = field(default_factory=dict)
    fixed: dict[str, str] = field(default_factory=dict)
    conditional: dict[str, dict[str, BaseDistribution]] = field(default_factory=dict)

    @classmethod
    def read(
        cls, params: Mapping[Any, Any], conditional: Mapping[Any, Any], arguments: Sequence[str]
    ) -> "Space":
        """The space of a sweep file, changed by what the command line sets."""
        space = cls()
        for word in [*(f"{key}={text}" for key, text in params.items()), *arguments]:
            override = OverridesParser.create().parse_override(word)
            key = override.get_key_element()
            space.searched.pop(key, None)
            space.fixed.pop(key, None)
            if override.is_sweep_override():
                space.searched[key] = _distribution(override)
            else:
                space.fixed[key] = word
        for condition, more in conditional.items():
            words = {k: f"{k}={text}" for k, text in more.items() if k not in space.fixed}
            parsed = {k: OverridesParser.create().parse_override(w) for k, w in words.items()}
            space.conditional[condition] = {k: _distribution(o) for k, o in parsed.items()}
        if not space.searched:
            raise UserError(
                "there is nothing to search: name it, as in "
                "'hydra.sweeper.params.loss=\"choice(hinge, minimax)\"'"
            )
        return space

    @property
    def described(self) -> dict[str, str]:
        """The space in words, to be compared with another."""
        more = {f"{c}: {k}": v for c, each in self.conditional.items() for k, v in each.items()}
        return {key: repr(value) for key, value in {**self.searched, **more}.items()}

    def suggest(self, trial: Trial) -> list[str]:
        """The overrides of a trial's job; a UserError where its sampler cannot choose."""
        try:
            return self._suggest(trial)
        except (ValueError, ImportError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"hydra.sweeper.sampler cannot search this: {reason}") from error

    def _suggest(self, trial: Trial) -> list[str]:
        chosen = {key: trial._suggest(key, kind) for key, kind in self.searched.items()}
        known = {key: word.partition("=")[2] for key, word in self.fixed.items()}
        for condition, more in self.conditional.items():
            key, _, value = condition.partition("=")
            if str({**known, **chosen}.get(key)) == value:
                chosen |= {key: trial._suggest(key, kind) for key, kind in more.items()}
        return [*(f"{key}={value}" for key, value in chosen.items()), *self.fixed.values()]


def _distribution(override: Override) -> BaseDistribution:
    """Optuna's word for Hydra's; choices are kept as they would be typed."""
    value = override.value()
    try:
        if isinstance(value, IntervalSweep) and value.start is not None and value.end is not None:
            whole = isinstance(value.start, int) and isinstance(value.end, int)
            kind: Any = IntDistribution if whole else FloatDistribution
            return kind(value.start, value.end, log="log" in value.tags)
        if isinstance(value, RangeSweep) and not value.shuffle and (value.step or 0) > 0:
            start, stop, step = value.start or 0, value.stop or 0, value.step
            last = start + step * (math.ceil((stop - start) / step - 1e-9) - 1)
            whole = all(isinstance(number, int) for number in (start, stop, step))
            kind = IntDistribution if whole else FloatDistribution
            return kind(start, last, step=step)
        return CategoricalDistribution(list(override.sweep_iterator(Transformer.str)))
    except (ValueError, TypeError, AttributeError, NotImplementedError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{override.input_line} cannot be searched: {reason}") from error
