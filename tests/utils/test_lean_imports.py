"""Lightning imports no compiler and no metrics; who asks for them has them."""

import subprocess
import sys

PROGRAM = """
import sys
import ganforge, lightning.pytorch as pl
from lightning.fabric.wrappers import OptimizedModule, _unwrap_compiled
heavy = ("torchvision", "scipy", "torch._dynamo.eval_frame", "torchmetrics.functional")
assert not [name for name in heavy if name in sys.modules], heavy
import torch
linear = torch.nn.Linear(2, 2)
assert not isinstance(linear, OptimizedModule)

from torchmetrics.functional.image import peak_signal_noise_ratio as psnr
import torchmetrics
assert psnr(torch.zeros(4), torch.ones(4), data_range=1.0) == 0
assert torchmetrics.Metric is pl.core.module.Metric
assert issubclass(torchmetrics.MeanMetric, torchmetrics.Metric)

import torch._dynamo.utils
compiled = torch.compile(linear)
assert sys.modules["torch._dynamo"] is torch._dynamo
assert sys.modules["torch._dynamo.utils"] is torch._dynamo.utils
assert type(compiled) is torch._dynamo.OptimizedModule
assert isinstance(compiled, OptimizedModule) and not isinstance(linear, OptimizedModule)
assert _unwrap_compiled(compiled)[0] is linear
"""


def test_what_a_drawing_needs_is_imported_and_the_rest_when_it_is_asked_for():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
