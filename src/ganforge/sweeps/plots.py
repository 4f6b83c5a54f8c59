"""Optuna's own pictures of a study, beside the ranking."""

import warnings
from pathlib import Path
from typing import Any

from ganforge.utils.files import atomic_path


def draw(study: Any, folder: Path) -> None:
    """Write ``study-history.png``, ``-importance.png``, ``-parallel.png``; of two goals a front."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import optuna.visualization.matplotlib as figures
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.trial import TrialState

    if len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) < 2:
        return
    weighed = {"evaluator": PedAnovaImportanceEvaluator()}  # the default one needs scikit-learn
    one = len(study.directions) == 1
    plots = {
        "history": (figures.plot_optimization_history, {}),
        "importance": (figures.plot_param_importances, weighed),
        "parallel": (figures.plot_parallel_coordinate, {}),
    }
    for name, (plot, options) in (
        plots if one else {"front": (figures.plot_pareto_front, {})}
    ).items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figure = plot(study, **options).figure
        figure.set_size_inches(9, 6)
        with atomic_path(folder / f"study-{name}.png") as temporary:
            figure.savefig(temporary, bbox_inches="tight")
        plt.close(figure)
