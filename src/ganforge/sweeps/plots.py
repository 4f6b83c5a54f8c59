"""Optuna's own pictures of a study, beside the ranking."""

import warnings
from pathlib import Path
from typing import Any

from ganforge.utils.files import atomic_path


def draw(study: Any, folder: Path) -> None:
    """Write ``study-history.png``, ``-importance.png``, ``-parallel.png``; of two goals a front."""
    import matplotlib as mpl

    mpl.use("Agg")
    import optuna.visualization.matplotlib as figures
    from optuna.importance import PedAnovaImportanceEvaluator as PedAnova
    from optuna.trial import TrialState

    if len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) < 2:
        return
    plots = {
        "history": figures.plot_optimization_history,
        "importance": lambda one: figures.plot_param_importances(one, evaluator=PedAnova()),
        "parallel": figures.plot_parallel_coordinate,
    }  # the default evaluator needs scikit-learn
    if len(study.directions) > 1:
        plots = {"front": figures.plot_pareto_front}
    for name, plot in plots.items():
        with warnings.catch_warnings(), atomic_path(folder / f"study-{name}.png") as temporary:
            warnings.simplefilter("ignore")
            figure = plot(study).figure
            figure.set_size_inches(9, 6)
            figure.savefig(temporary, bbox_inches="tight")
