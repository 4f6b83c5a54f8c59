"""What the doctor's remedies do: trainings that go wrong, and the same ones with its advice taken.

    python -m benchmarks.remedies seeds=0,1,2

trains each sick configuration for 500 steps and prints what the doctor said and the FID at the
end, then the same with each remedy. A run that is finished is skipped; ``report`` trains nothing.
"""

import json
import sys
from pathlib import Path

from benchmarks.runs import Result, arguments_of, finished, run_once, spread

STEPS = 500
IMAGES = 1000
FACES = ["experiment=dcgan_quickstart", "data.batch_size=16", "trainer.precision=32-true"]
PLAIN = [*FACES, "norm=batch", "loss=non_saturating", "augment=none"]
SMALL = ["model.generator.width=8", "model.discriminator.width=8"]
OUTGROWN = [*PLAIN, "model.generator.width=8", "model.discriminator.width=32"]


def rates(factor: float) -> list[str]:
    """The learning rates of the default recipe times ``factor``."""
    return [
        f"model.optimizer_generator.lr={5e-4 * factor}",
        f"model.optimizer_discriminator.lr={1e-3 * factor}",
    ]


# name: (what is wrong, the configuration, remedies by what is typed)
CASES: dict[str, tuple[str, list[str], dict[str, list[str]]]] = {
    "critic_wins": (
        "a critic far larger than its generator",
        OUTGROWN,
        {
            "regularizer=[r1]": ["regularizer=[r1]"],
            "augment=diffaugment": ["augment=diffaugment"],
            "norm=spectral": ["norm=spectral"],
            "model.optimizer_discriminator.lr=0.00025": [
                "model.optimizer_discriminator.lr=0.00025"
            ],
        },
    ),
    "logits_explode": (
        "Wasserstein loss without a penalty",
        [*PLAIN, *SMALL, "loss=wasserstein", "norm=none"],
        {
            "regularizer=[gradient_penalty]": ["regularizer=[gradient_penalty]"],
            "regularizer=[r1]": ["regularizer=[r1]"],
            "norm=spectral": ["norm=spectral"],
        },
    ),
    "rates_x50": (
        "learning rates × 50",
        [*FACES, *SMALL, *rates(50)],
        {"rates ten times smaller": rates(5), "a hundred times smaller": rates(0.5)},
    ),
    "rates_x5": ("learning rates × 5", [*FACES, *SMALL, *rates(5)], {"as they were": rates(1)}),
    "modes_collapse": (
        "a plain DCGAN with `rates=ttur`",
        [*PLAIN, *SMALL, "rates=ttur"],
        {
            "regularizer=[r1]": ["regularizer=[r1]"],
            "augment=diffaugment": ["augment=diffaugment"],
        },
    ),
}


def plans() -> dict[str, list[str]]:
    """Overrides of every training, by a name that serves as its folder."""
    found = {}
    for case, (_, sick, remedies) in CASES.items():
        found[f"{case}/untreated"] = sick
        for number, remedy in enumerate(remedies.values()):
            found[f"{case}/remedy{number}"] = [*sick, *remedy]
    return found


def run(folder: Path, overrides: list[str], seed: int) -> None:
    """Train one configuration with one seed unless that is done."""
    fixed = [
        f"seed={seed}", "logger=[]", "trainer.accelerator=cpu", f"trainer.max_steps={STEPS}",
        "callbacks.image_quality.metrics=[{_target_:ganforge.metrics.scores.FID}]",
        f"callbacks.image_quality.every_n_steps={STEPS}",
        f"callbacks.image_quality.n_images={IMAGES}",
        f"callbacks.sample_grid.every_n_steps={STEPS}",
        f"callbacks.checkpoints.every_n_steps={STEPS}",
    ]  # fmt: skip
    place = folder / f"seed{seed}"
    print(place, json.dumps(run_once(place, [*overrides, *fixed], read)), flush=True)


def read(folder: Path) -> Result:
    """The last FID of a run, and what the doctor called it."""
    path = folder / "diagnosis.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    scores = [score["value"] for score in json.loads((folder / "scores.json").read_text())]
    return {"fid": scores[-1], "said": sorted({event["name"] for event in events})}


def report(folder: Path, seeds: list[int]) -> str:
    """The Markdown table of what is finished."""
    lines = ["| training | the doctor says | FID at the end |", "|---|---|---|"]
    for case, (title, _, remedies) in CASES.items():
        labels = [title, *(f"+ `{each}`" if "=" in each else f"+ {each}" for each in remedies)]
        names = ["untreated", *(f"remedy{number}" for number in range(len(remedies)))]
        for label, name in zip(labels, names, strict=True):
            found = finished(folder / case / name, seeds)
            if found:
                said = "; ".join(", ".join(one["said"]) or "nothing" for one in found)
                fid = spread([one["fid"] for one in found])
                lines.append(f"| {label} | {said} | {fid} |")
    return "\n".join(lines)


def main(given: list[str]) -> None:
    """Train what is missing, and print the table."""
    named, rows, seeds = arguments_of(given, list(CASES))
    folder = Path(named.get("output", "outputs/remedies")).resolve()
    if "report" not in given:
        for seed in seeds:
            for name, overrides in plans().items():
                if name.split("/")[0] in rows:
                    run(folder / name, overrides, seed)
    print(report(folder, seeds))


if __name__ == "__main__":
    main(sys.argv[1:])
