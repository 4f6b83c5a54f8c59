"""``ganforge dashboard``: a W&B workspace with panels of quality, balance, samples and speed."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ganforge.utils.errors import UserError
from ganforge.utils.files import write_json
from ganforge.utils.terminal import relative_path

ADVICE = "or write the workspace to a file with output=FILE"


def dashboard(config: DictConfig) -> None:
    """Save the workspace at W&B, or write it to the file ``output`` without a key or a network."""
    try:
        from wandb_workspaces import workspaces
    except ModuleNotFoundError as error:
        raise UserError(
            "ganforge dashboard needs wandb-workspaces: pip install 'ganforge[dashboard]'"
        ) from error
    if not config.output:
        _need_key()
    entity = config.entity or ("" if config.output else _own_entity())
    workspace = workspaces.Workspace(
        entity=entity,
        project=config.project,
        name=config.name,
        sections=[
            workspaces.Section(
                name=name, panels=[_panel(p, config.axis) for p in row], is_open=True
            )
            for name, row in config.sections.items()
            if row is not None
        ],
        settings=workspaces.WorkspaceSettings(x_axis=config.axis),
    )
    if config.output:
        write_json(as_json(workspace), config.output)
        print(f"workspace  {relative_path(Path(config.output))}")
        return
    try:
        workspace.save()
    except Exception as error:  # whatever the network and the service answer
        raise UserError(
            f"W&B did not take the workspace of {entity}/{config.project} ({_first_line(error)}): "
            "see that a run was uploaded there, or write it with output=FILE"
        ) from error


def _panel(panel: DictConfig, axis: str) -> Any:
    """A panel of curves or of pictures from its description."""
    from wandb_workspaces.reports import v2

    known = {"title", "line", "media", "log"}
    settings = OmegaConf.to_container(panel) if isinstance(panel, DictConfig) else panel
    if not isinstance(settings, dict) or ("line" in settings) == ("media" in settings):
        raise UserError(f"a panel needs line= or media=, one of them: {settings}")
    if unknown := set(settings) - known:
        raise UserError(f"a panel has no {sorted(unknown)}: there are {', '.join(sorted(known))}")
    if "media" in settings:
        return v2.MediaBrowser(title=settings.get("title"), media_keys=settings["media"])
    return v2.LinePlot(
        title=settings.get("title"),
        x=axis,
        metric_regex=settings["line"],
        log_y=settings.get("log", False),
    )


def as_json(workspace: Any) -> dict[str, Any]:
    """What W&B would be sent."""
    return workspace._to_model().model_dump(mode="json", by_alias=True, exclude_none=True)


def _need_key() -> None:
    """Raise UserError where W&B has no key."""
    import wandb

    if not wandb.login(prompt=False, verify=False):
        raise UserError(f"W&B has no key here: run wandb login, {ADVICE}")


def _own_entity() -> str:
    """The user or team of the key; raises UserError where W&B cannot be reached."""
    import wandb

    try:
        return wandb.Api(timeout=20).default_entity
    except Exception as error:
        reason = _first_line(error)
        raise UserError(f"W&B cannot be reached ({reason}): try again, {ADVICE}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:120]
