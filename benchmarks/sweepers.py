"""Does Optuna's TPE find a better configuration than random search in as many jobs?

``python -m benchmarks.sweepers [override ...]`` runs ``sweep=optuna_gaussian1d`` for each of
``--repeats`` seeds, once as it is and once with all trials drawn at random (TPE draws its first
``n_startup_trials`` at random), and writes ``sweepers.json``. Jobs run one after the other in this
process, by Hydra's basic launcher: the searches are the same, only the starts of Python are saved.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import hydra
import optuna
from omegaconf import DictConfig

from ganforge.config.compose import config_dir
from ganforge.training.fit import train
from ganforge.utils.files import write_json

SEARCHES = {"tpe": [], "random": ["hydra.sweeper.sampler.n_startup_trials=100000"]}


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="train")
def task(config: DictConfig) -> float | None:
    """One job: what it is ranked by."""
    return train(config)


def search(folder: Path, seed: int, overrides: list[str]) -> list[float | None]:
    """The values of one study's trials, in order."""
    folder.mkdir(parents=True)
    sys.argv[1:] = [
        "sweep=optuna_gaussian1d",
        "hydra/launcher=basic",
        f"hydra.sweep.dir={folder}",
        "logger=[]",
        f"seed={seed}",
        *overrides,
    ]
    task()
    study = optuna.load_study("sweep", f"sqlite:///{folder}/study.db")
    return [trial.value for trial in study.trials]


def main(repeats: int, folder: Path, overrides: list[str]) -> None:
    """Run all searches and print the best value of each."""
    values: dict[str, list[list[float | None]]] = {name: [] for name in SEARCHES}
    for seed in range(1, repeats + 1):
        for name, extra in SEARCHES.items():
            found = search(folder / f"{name}{seed}", seed, [*extra, *overrides])
            values[name].append(found)
            best = min(value for value in found if value is not None)
            print(f"RESULT seed {seed} {name}: best of {len(found)} {best:.4f}", flush=True)
    write_json(values, folder / "sweepers.json")
    for name, runs in values.items():
        best = [min(value for value in run if value is not None) for run in runs]
        spread = statistics.stdev(best) if len(best) > 1 else 0.0
        print(f"RESULT {name}: {statistics.fmean(best):.4f} ± {spread:.4f} {json.dumps(best)}")


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sweepers", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--repeats", type=int, default=5, help="seeds of each search (5)")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(f"outputs/sweepers-{time.strftime('%Y%m%d-%H%M%S')}"),
        help="where the studies are kept: a new one",
    )
    parser.add_argument("overrides", nargs="*", help="such as trainer.max_steps=150")
    return parser.parse_args()


if __name__ == "__main__":
    asked = arguments()
    main(asked.repeats, asked.folder.absolute(), asked.overrides)
