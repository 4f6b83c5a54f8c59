import io
import re

from rich.console import Console

from ganforge.callbacks.progress import ProgressBar


def test_lines_where_there_is_no_terminal(tiny_gan, tiny_data, tiny_trainer, capfd):
    trainer = tiny_trainer(max_steps=20, callbacks=[ProgressBar(refresh_seconds=0)])
    trainer.fit(tiny_gan(), datamodule=tiny_data())
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("step ")]
    assert [line.split()[1] for line in lines] == [f"{step}/20" for step in range(2, 21, 2)]
    readings = r"0\.1 kimg · \d+ img/s · D\(x\) 0\.\d\d · D\(G\(z\)\) 0\.\d\d"
    assert re.fullmatch(f"step 20/20 · {readings} · 0:00 left", lines[-1])


def test_a_terminal_gets_a_bar_and_is_given_back(tiny_gan, tiny_data, tiny_trainer):
    progress = ProgressBar(refresh_seconds=0)
    out = io.StringIO()
    progress._console = Console(file=out, force_terminal=True, width=120)
    trainer = tiny_trainer(max_steps=4, callbacks=[progress])
    trainer.fit(tiny_gan(), datamodule=tiny_data())
    assert "4/4" in out.getvalue()
    assert "kimg" in out.getvalue()
    assert progress._progress is None
