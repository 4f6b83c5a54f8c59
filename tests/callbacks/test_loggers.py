import errno
import json
import math
import threading

import numpy as np
import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from PIL import Image

from ganforge.callbacks.loggers import (
    JsonlLogger,
    ResumableTensorBoardLogger,
    log_picture,
    told_once,
)


def records(path):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


def test_one_record_a_call(tmp_path):
    path = tmp_path / "deep" / "metrics.jsonl"
    logger = JsonlLogger(path)
    logger.log_metrics({"kimg": 0.5, "a": 1, "epoch": 3}, step=7)
    logger.log_metrics({"b": math.nan, "c": math.inf, "d": -math.inf}, step=8)
    assert records(path) == [
        {"step": 7, "kimg": 0.5, "a": 1},
        {"step": 8, "b": None, "c": None, "d": None},
    ]


def test_appends_to_what_is_there(tmp_path):
    for step in (1, 2):
        JsonlLogger(tmp_path / "m.jsonl").log_metrics({"a": 1.0}, step)
    assert [record["step"] for record in records(tmp_path / "m.jsonl")] == [1, 2]


def test_hyperparameters_write_nothing(tmp_path):
    JsonlLogger(tmp_path / "m.jsonl").log_hyperparams({"a": 1})
    assert not list(tmp_path.iterdir())


def test_pictures_go_where_pictures_can(tmp_path):
    class Shows(JsonlLogger):
        shown = None

        def log_image(self, key, images, step):
            self.shown = (key, images, step)

    shows, board = Shows(tmp_path / "m.jsonl"), TensorBoardLogger(tmp_path, name="tb", version="")
    picture = Image.fromarray(np.zeros((4, 4), dtype=np.uint8))
    log_picture([CSVLogger(tmp_path), shows, board], "samples", picture, 12)
    assert shows.shown == ("samples", [picture], 12)
    board.experiment.flush()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tb")).Reload()
    assert [event.step for event in events.Images("samples")] == [12]


def test_the_table_of_hyperparameters_has_the_scores(tmp_path):
    board = ResumableTensorBoardLogger(tmp_path, name="tb", version="")
    board.log_hyperparams({"seed": 3, "model": {"width": 8}})
    board.log_metrics({"generator/loss": 0.5}, 10)
    board.log_metrics({"scores/fid": 9.0, "kimg": 0.1}, 20)
    board.log_metrics({"scores/fid": 4.0, "kimg": 0.2}, 40)
    board.flush()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    events = EventAccumulator(str(tmp_path / "tb")).Reload()
    told = {
        name: HParamsPluginData.FromString(
            events.SummaryMetadata(f"_hparams_/{name}").plugin_data.content
        )
        for name in ("experiment", "session_start_info")
    }
    infos = told["experiment"].experiment.metric_infos
    assert [info.name.tag for info in infos] == ["scores/fid"]
    assert told["session_start_info"].session_start_info.hparams["model/width"].number_value == 8
    assert [(e.step, e.value) for e in events.Scalars("scores/fid")] == [(20, 9.0), (40, 4.0)]
    assert [e.step for e in events.Scalars("kimg")] == [20, 40]


def test_every_logger_sees_the_step_number(tiny_gan, tiny_data, tiny_trainer, tmp_path):
    csv = CSVLogger(tmp_path, name="csv", version="")
    logger = [JsonlLogger(tmp_path / "m.jsonl"), csv]
    tiny_trainer(max_steps=3, logger=logger).fit(tiny_gan(n_critic=2), datamodule=tiny_data())
    rows = (tmp_path / "csv" / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("step")
    assert [int(row.split(",")[column]) for row in rows[1:]] == [1, 2, 3]
    assert [record["step"] for record in records(tmp_path / "m.jsonl")] == [1, 2, 3]


def test_a_writer_of_tensorboard_that_fails_is_told_once(tmp_path, monkeypatch):
    """Its thread keeps the error for the training's own, and leaves no trace beside it."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    def log():
        for step in range(3):
            logger.log_metrics({"x": 1.0}, step)
            logger.flush()

    logger, seen = ResumableTensorBoardLogger(tmp_path), []
    monkeypatch.setattr(threading, "excepthook", lambda failure: seen.append(failure.exc_type))
    with told_once():
        _ = logger.experiment
        monkeypatch.setattr(RecordWriter, "write", refuse)
        with pytest.raises(OSError, match="No space left"):
            log()
        other = threading.Thread(target=lambda: 1 / 0)
        other.start()
        other.join()
    assert seen == [ZeroDivisionError]
