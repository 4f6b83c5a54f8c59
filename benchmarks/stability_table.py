"""What each stabiliser and each model does to a DCGAN that is as plain as its paper's.

    python -m benchmarks.stability_table data=avatars seeds=0,1,2

trains every row for the same number of real images and prints a Markdown table. A run that is
finished is skipped, so the command can be stopped and given again; several may run side by side on
different ``seeds`` or ``rows``. ``rows=plain,ema`` takes some rows, ``report`` trains nothing.
"""

import json
import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback
from scipy import stats

from benchmarks.runs import Result, arguments_of, finished, run_once, spread

WIDTH = 16
BATCH = 64
KIMG = 25.6
SCORES = 4  # a run is scored so often, on so many images
IMAGES = 1000
PLAIN = [
    "model=dcgan",
    f"model.generator.width={WIDTH}",
    f"model.discriminator.width={WIDTH}",
    "~callbacks.ema",
]
# With the averages, rates that fall and the faster, momentum-free rates of the default recipe.
RECIPE = [
    "schedule=linear",
    "model.optimizer_generator.lr=1e-3",
    "model.optimizer_discriminator.lr=2e-3",
    "model.optimizer_generator.betas=[0.0,0.99]",
    "model.optimizer_discriminator.betas=[0.0,0.99]",
    "callbacks.ema.half_life_kimg=5",
]
RESIDUAL = ["model.n_critic=1", "augment=translation", *RECIPE]
ROWS: dict[str, tuple[str, list[str]]] = {
    "plain": ("DCGAN, plain", PLAIN),
    "ema": ("+ averaged generator", [*PLAIN[:-1], "callbacks.ema.half_life_kimg=5"]),
    "smoothed": ("+ label smoothing", [*PLAIN, "loss=smoothed"]),
    "relativistic": ("+ relativistic loss", [*PLAIN, "loss=relativistic"]),
    "r1": ("+ R1, γ = 1", [*PLAIN, "regularizer=[r1]", "model.objective.regularizers.r1.weight=1"]),
    "lazy_r1": (
        "+ R1, γ = 1, at every 16th update",
        [
            *PLAIN,
            "regularizer=[lazy_r1]",
            "model.objective.regularizers.lazy_r1.regularizer.weight=1",
        ],
    ),
    "r2": ("+ R2, γ = 1", [*PLAIN, "regularizer=[r2]", "model.objective.regularizers.r2.weight=1"]),
    "lecam": ("+ LeCam", [*PLAIN, "regularizer=[lecam]"]),
    "consistency": ("+ consistency", [*PLAIN, "regularizer=[consistency]"]),
    "noise": ("+ instance noise", [*PLAIN, "noise=instance", f"model.objective.noise.kimg={KIMG}"]),
    "diffaugment": ("+ DiffAugment", [*PLAIN, "augment=diffaugment"]),
    "ada": ("+ ADA", [*PLAIN, "augment=ada", "model.objective.augment.speed_kimg=20"]),
    "spectral": ("+ spectral norm, hinge loss", [*PLAIN, "norm=spectral", "loss=hinge"]),
    "ttur": ("+ two time scales", [*PLAIN, "rates=ttur"]),
    "clip": ("+ gradient clipping at 1", [*PLAIN, "model.clip_gradient=1"]),
    "accumulate": ("+ gradients of two halves of a batch", [*PLAIN, "model.accumulate=2"]),
    "linear": ("+ linear schedule", [*PLAIN, "schedule=linear"]),
    "cosine": ("+ cosine schedule", [*PLAIN, "schedule=cosine"]),
    "warm_up": ("+ warm-up", [*PLAIN, "schedule=warm_up", "model.schedule.warm_up_steps=100"]),
    "recipe": (
        "DCGAN, the default recipe",
        [*PLAIN[:-1], "norm=spectral", "loss=hinge", "augment=translation", *RECIPE],
    ),
    "sngan": (
        "SNGAN",
        ["model=sngan", "model.generator.width=8", "model.discriminator.width=8", *RESIDUAL],
    ),
    "wgan_gp": (
        "WGAN-GP",
        ["model=wgan_gp", "model.generator.width=8", "model.discriminator.width=8", *RESIDUAL],
    ),
    "r3gan": (
        "R3GAN",
        ["model=r3gan", "model.generator.width=8", "model.generator.blocks=1", *RESIDUAL],
    ),
}
# Collapsed: FID at the end over the best one, or over that of the untrained plain DCGAN, which
# draws noise. (Untrained residual networks draw something smooth, which is nearer to pictures.)
FALLEN, UNLEARNED = 1.5, 0.5


class StepClock(Callback):
    """Processor time of the training steps alone, without scoring."""

    def __init__(self, path: str) -> None:
        self.path, self.seconds, self._start = Path(path), 0.0, 0.0

    def on_train_batch_start(self, *_: Any) -> None:
        self._start = time.process_time()

    def on_train_batch_end(self, *_: Any) -> None:
        self.seconds += time.process_time() - self._start

    def on_train_end(self, _: Any, module: Any) -> None:
        self.path.write_text(json.dumps({"seconds": self.seconds, "images": module.images_seen}))


def run(folder: Path, data: str, row: str, seed: int, kimg: float) -> None:
    """Train one row with one seed unless that is done."""
    place = folder / data / row / f"seed{seed}"
    steps = round(1000 * kimg / BATCH)
    overrides = [
        f"data={data}", "data.size=32", f"data.batch_size={BATCH}", f"seed={seed}", "logger=[]",
        *ROWS[row][1], f"trainer.max_steps={steps}", "trainer.accelerator=cpu",
        "callbacks.image_quality.metrics=[{_target_:ganforge.metrics.scores.FID}]",
        f"callbacks.image_quality.every_n_steps={max(steps // SCORES, 1)}",
        f"callbacks.image_quality.n_images={IMAGES}",
        f"callbacks.sample_grid.every_n_steps={steps}",
        f"callbacks.checkpoints.every_n_steps={steps}",
        f"+callbacks.clock={{_target_:benchmarks.stability_table.StepClock,path:{place}/time.json}}",
    ]  # fmt: skip
    print(data, row, seed, json.dumps(run_once(place, overrides, read)), flush=True)


def read(folder: Path) -> Result:
    """All FIDs of a run, and the images a second of its steps."""
    clock = json.loads((folder / "time.json").read_text())
    scores = [score["value"] for score in json.loads((folder / "scores.json").read_text())]
    return {"fid": scores, "img_s": clock["images"] / clock["seconds"]}


def report(folder: Path, data: str, rows: list[str], seeds: list[int]) -> str:
    """The Markdown table of what is finished."""
    results = {row: found for row in rows if (found := finished(folder / data / row, seeds))}
    plain = finished(folder / data / "plain", seeds)
    noise, ends = [one["fid"][0] for one in plain], [one["fid"][-1] for one in plain]
    compared = against(ends, {row: [one["fid"][-1] for one in results[row]] for row in results})
    lines = [
        "| model | FID(best) | FID(end) | FID(end) over plain's (95 %) | q | collapsed | img/s |",
        "|---|---|---|---|---|---|---|",
    ]
    for row, found in results.items():
        best = [min(one["fid"][1:]) for one in found]  # the first is untrained
        end = [one["fid"][-1] for one in found]
        collapsed = sum(
            has_collapsed(one["fid"], max(noise, default=one["fid"][0])) for one in found
        )
        speed = statistics.median(one["img_s"] for one in found)
        lines.append(
            f"| {ROWS[row][0]} | {spread(best)} | {spread(end)} | {compared.get(row, ' | ')} | "
            f"{f'{collapsed} of {len(found)}' if collapsed else 'no'} | {speed:.0f} |"
        )
    return "\n".join(lines)


def against(plain: list[float], rows: dict[str, list[float]]) -> dict[str, str]:
    """Each row's FID over the plain one's: ratio of geometric means, 95 % interval, and q.

    Welch's t on logarithms, since spreads grow with FID; q is p after Benjamini and Hochberg (1995)
    over all rows, the share of false finds among the rows that are called different up to there.
    """
    tests = {
        row: stats.ttest_ind(np.log(fid), np.log(plain), equal_var=False)
        for row, fid in rows.items()
        if row != "plain" and min(len(fid), len(plain)) > 1
    }
    if not tests:
        return {}
    qs = stats.false_discovery_control([test.pvalue for test in tests.values()])
    texts = {}
    for (row, test), q in zip(tests.items(), qs, strict=True):
        low, high = test.confidence_interval()
        ratio = statistics.geometric_mean(rows[row]) / statistics.geometric_mean(plain)
        texts[row] = f"{ratio:.2f} ({math.exp(low):.2f}–{math.exp(high):.2f}) | {q:.3f}"
    return texts


def has_collapsed(fid: list[float], noise: float) -> bool:
    """Whether a run fell back from its best, or never came far from ``noise``, whose FID it is."""
    limit = min(FALLEN * min(fid), UNLEARNED * noise)
    return not fid[-1] <= limit  # NaN is a collapse, too


def main(given: list[str]) -> None:
    named, rows, seeds = arguments_of(given, list(ROWS))
    data, kimg = named.get("data", "avatars"), float(named.get("kimg", KIMG))
    folder = Path(named.get("output", "outputs/stability")).resolve()
    if "report" not in given:
        for seed in seeds:
            for row in rows:
                run(folder, data, row, seed, kimg)
    print(report(folder, data, rows, seeds))


if __name__ == "__main__":
    main(sys.argv[1:])
