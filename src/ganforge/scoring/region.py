"""Scores of a generator of regions: beside pasting, strangers and nobody."""

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from omegaconf import OmegaConf
from rich.table import Table
from torch import Tensor

from ganforge.config.build import build
from ganforge.data.lips import CLASSES, THOUSAND
from ganforge.data.regions import Windows
from ganforge.metrics.lips import lip_reader, read, sync
from ganforge.metrics.protocol import Protocol, Score
from ganforge.metrics.regions import Quality, blend, match_colours, quality, region_l1
from ganforge.metrics.scorer import library_versions
from ganforge.models.region import strangers
from ganforge.trained.load import LoadedRun

BATCH = 100
SHUT, NEW_VOICE = 6, 7  # columns of drawn talkers, behind opening, width and teeth
LATE = 3  # frames that a sound is moved by, to see whether the lips follow
GENERATED, STRANGE = "generated", "of a stranger"


class RegionScores(NamedTuple):
    """Scores of generated regions and of what they are compared with, by name; other figures."""

    tables: dict[str, list[Score]]
    told: list[Table | str]
    records: list[Score]


def score_region(loaded: LoadedRun, data: Any, split: str, n: int, seed: int) -> RegionScores:
    """Regions of at most ``n`` cases against the truth, beside pasting, strangers and nobody."""
    cases = data.split(split).cases(n)
    columns = _columns(loaded.module, cases)
    lips, what = None, "exemplar"
    if "sound" in cases:
        what = "sound"
    if data.split(split).attributes.shape[1] > NEW_VOICE:  # lips are known
        lips = LipsFigures.of(loaded.module, data, split, cases, columns)
    soft, truth = loaded.module.soft.cpu(), cases["truth"]
    found = {name: quality(images, truth, soft) for name, images in columns.items()}
    template = _template(loaded, data, split, len(truth), seed)
    tables = {name: _scores(template, measured) for name, measured in found.items()}
    own, other = (region_l1(columns[name], truth, soft) for name in (GENERATED, STRANGE))
    better = (own < other).float().mean().item()
    told: list[Table | str] = [
        f"own {what} nearer to the truth than a stranger's: {better:.1%} of cases"
    ]
    told += lips.told if lips else []
    opened = _opened(loaded, data.split(split))
    records = [
        replace(score, details=tuple((name, rows[i].value) for name, rows in tables.items()))
        for i, score in enumerate(tables[GENERATED])
    ]
    more = {"own_better": better} | (lips.values if lips else {})
    more |= {} if opened.share is None else {"eyes_opened": opened.share}
    records += [replace(template, metric=name, value=value) for name, value in more.items()]
    return RegionScores(tables, [*told, *opened.told], records)


class LipsFigures(NamedTuple):
    """How well generated lips follow the sound, for the record, and tables that tell it."""

    values: dict[str, float]
    told: list[Table | str]

    @classmethod
    def of(
        cls,
        module: Any,
        data: Any,
        split: str,
        cases: dict[str, Tensor],
        columns: dict[str, Tensor],
    ) -> "LipsFigures":
        """Read the lips of videos: true ones, generated ones, and those of a sound that is late."""
        train, test = data.split("train"), data.split(split)
        path = data.folder / "weights" / f"lips-{data.content_hash('train')[:16]}.safetensors"
        reader = lip_reader(train.images, _lips_of(train.attributes), path)
        rows = test.attributes[cases["row"]]
        truth, video = _lips_of(rows), cases["person"]
        bilabial, new = rows[:, SHUT].bool(), rows[:, NEW_VOICE].bool()
        centres = torch.tensor([(m.opening, m.width, m.teeth) for m in CLASSES.values()])
        late = cases["sound"].roll(LATE, 0)
        shown = {
            "true frames": cases["truth"],
            GENERATED: columns[GENERATED],
            f"{LATE} frames late": _made(module, cases["input"], cases["exemplar"], late),
            "exemplar": cases["exemplar"],
        }
        table = Table()
        table.add_column("lips, voice")
        for name in ("classes ↑", "opening ↑", "width ↑", "shut in p, b, m ↑"):
            table.add_column(name, justify="right")
        values, told = {}, [table]
        for voice, chosen in (("known", ~new), ("new", new)):
            for name, images in shown.items():
                found = sync(
                    read(reader, images[chosen]), truth[chosen], video[chosen], bilabial[chosen],
                    centres,
                )  # fmt: skip
                table.add_row(
                    f"{name}, {voice}", f"{found.classes:.1%}", f"{found.opening:.2f}",
                    f"{found.width:.2f}", f"{found.shut:.0%}",
                )  # fmt: skip
                if name == GENERATED or "late" in name:
                    wanted = 0 if name == GENERATED else LATE
                    hits = sum(lag == wanted for lag in found.lags)
                    told.append(
                        f"{name}, {voice} voice: {wanted:+d} frames behind the sound in {hits} of "
                        f"{len(found.lags)} videos"
                    )
                if name == GENERATED:
                    values |= {
                        f"lips_classes_{voice}_": found.classes,
                        f"lips_opening_{voice}_": found.opening,
                        f"lips_width_{voice}_": found.width,
                        f"lips_shut_{voice}_": found.shut,
                    }
        return cls(values, told)


def _lips_of(attributes: Tensor) -> Tensor:
    """Opening, width and teeth of rows, ``N×3``."""
    return attributes[:, 3:6].float() / THOUSAND


class Opened(NamedTuple):
    """Of closed eyes without a truth the share that is judged open now, and what to say of it."""

    share: float | None
    told: list[str]


def _opened(loaded: LoadedRun, windows: Windows) -> Opened:
    """Retouch the windows whose eyes the judge of the data set calls closed, and ask it again."""
    alone = windows.closed_alone()
    count = len(alone["person"])
    judging = OmegaConf.select(loaded.config, "data.source.judge")
    if not count or not judging:
        return Opened(None, [])
    judge, module = build(judging), loaded.module
    if not judge.is_there:
        return Opened(None, [f"note: closed eyes are not counted: {judge.missing}"])

    def share(images: Tensor) -> float:
        return (judge.chance(images, module.region.anchors) > 0.5).float().mean().item()

    generated = share(_made(module, alone["input"], alone["exemplar"]))
    pasted = share(blend(alone["input"], alone["exemplar"], module.soft.cpu()))
    return Opened(
        generated,
        [
            f"closed eyes judged open: {generated:.1%} of {count} cases (pasted {pasted:.1%}, "
            f"untouched {share(alone['input']):.1%})"
        ],
    )


def _columns(module: Any, cases: dict[str, Tensor]) -> dict[str, Tensor]:
    """The generated windows and what they are compared with, by name; uint8."""
    seen, exemplar = cases["input"], cases["exemplar"]
    soft, hole = module.soft.cpu(), module.hole.cpu()
    stranger, _ = strangers(cases["person"])
    pasted = {
        "pasted, matched": blend(seen, match_colours(exemplar, seen, hole), soft),
        "pasted": blend(seen, exemplar, soft),
    }
    if "sound" in cases:  # the input is the truth, with its mouth hidden
        sound = cases["sound"]
        return {
            GENERATED: _made(module, seen, exemplar, sound),
            STRANGE: _made(module, seen, exemplar, sound[stranger]),
            **pasted,
        }
    untouched = {} if torch.equal(seen, cases["truth"]) else {"untouched": seen}
    mean = exemplar.float().mean(0, keepdim=True).round().byte().expand_as(exemplar)
    return {
        GENERATED: _made(module, seen, exemplar),
        STRANGE: _made(module, seen, exemplar[stranger]),
        "mean exemplar": _made(module, seen, mean),
        **pasted,
        **untouched,
    }


def _made(module: Any, *sides: Tensor) -> Tensor:
    """Retouched windows, of inputs, exemplars and, where there are some, sounds."""
    batches = zip(*(side.split(BATCH) for side in sides), strict=True)
    return torch.cat([module.retouch(*batch).cpu() for batch in batches])


def _template(loaded: LoadedRun, data: Any, split: str, count: int, seed: int) -> Score:
    """The record that all scores fill."""
    (direction,) = loaded.module.translators
    protocol = Protocol.of_pixels(
        count,
        ema=loaded.ema,
        split=split,
        data_hash=data.content_hash(split),
        checkpoint=loaded.checkpoint,
        direction=direction,
        seed=seed,
    )
    run = loaded.run.folder.name
    return Score("", 0.0, protocol, None, loaded.step, run, (), library_versions())


def _scores(template: Score, found: Quality) -> list[Score]:
    values = {"region_l1_": found.l1, "region_psnr": found.psnr, "seam_ratio": found.seam_ratio}
    return [replace(template, metric=name, value=value) for name, value in values.items()]
