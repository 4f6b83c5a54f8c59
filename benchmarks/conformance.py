"""The same images and weights through ganforge, torch-fidelity, torchmetrics and clean-fid.

Run ``python -m benchmarks.conformance REAL FAKE [COUNT]`` with two folders or zips of images. The
Inception's weights are random and written to a file: what is compared is the arithmetic.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ganforge.metrics.coverage import Precision, Recall
from ganforge.metrics.features import Features, extract
from ganforge.metrics.inception import CleanResize, InceptionFeatures
from ganforge.metrics.scorer import Scorer
from ganforge.metrics.scores import FID, KID, InceptionScore
from ganforge.metrics.statistics import ImageSet
from ganforge.scoring.files import ImageFiles

Told = dict[str, dict[str, float]]


def random_inception(path: Path) -> Path:
    """Write random weights in the format of the published file."""
    from torch_fidelity import FeatureExtractorInceptionV3, feature_extractor_inceptionv3

    def own_state(*args: object, **kwargs: object) -> dict[str, Tensor]:  # noqa: ARG001
        state = sys._getframe(1).f_locals["self"].state_dict()
        for tensor in state.values():
            if tensor.ndim == 4:  # torch's own initial weights would let the features vanish
                torch.nn.init.kaiming_normal_(tensor, nonlinearity="relu")
        return state

    load = feature_extractor_inceptionv3.load_state_dict_from_url
    feature_extractor_inceptionv3.load_state_dict_from_url = own_state
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            torch.save(FeatureExtractorInceptionV3("random", ["2048"]).state_dict(), path)
    finally:
        feature_extractor_inceptionv3.load_state_dict_from_url = load
    return path


def of_ganforge(extractor: InceptionFeatures, real: Tensor, fake: Tensor) -> dict[str, float]:
    """Our own way from images to scores."""
    metrics = (FID(), KID(), InceptionScore(), Precision(), Recall())
    reals = ImageSet(lambda: real, len(real), "images", "real")
    scores = Scorer(extractor, reals, None, metrics, batch_size=16).score(fake)
    return {score.metric: score.value for score in scores}


def of_torch_fidelity(weights: Path, real: Tensor, fake: Tensor) -> dict[str, float]:
    """torch-fidelity from images to scores."""
    import torch_fidelity

    class Images(Dataset):
        def __init__(self, images: Tensor) -> None:
            self.images = images

        def __len__(self) -> int:
            return len(self.images)

        def __getitem__(self, index: int) -> Tensor:
            return self.images[index]

    told = torch_fidelity.calculate_metrics(
        input1=Images(fake),
        input2=Images(real),
        feature_extractor_weights_path=str(weights),
        feature_layer_prc="2048",
        feature_extractor="inception-v3-compat",
        batch_size=16,
        kid_subset_size=min(len(real), len(fake)),  # all: one subset is what we compute
        kid_subsets=1,
        isc_splits=1,
        cuda=False,
        isc=True,
        fid=True,
        kid=True,
        prc=True,
        cache=False,
        save_cpu_ram=True,  # no worker processes
        verbose=False,
    )
    names = {
        "fid": "frechet_inception_distance",
        "kid": "kernel_inception_distance_mean",
        "is": "inception_score_mean",
        "precision": "precision",
        "recall": "recall",
    }
    return {short: told[name] for short, name in names.items()}


def of_torchmetrics(
    extractor: InceptionFeatures, real: Tensor, fake: Tensor, antialias: bool
) -> dict[str, float]:
    """torchmetrics' FID, through the same network behind its own resize."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Network(torch.nn.Module):
        num_features = 2048

        def forward(self, images: Tensor) -> Tensor:
            if antialias:  # torchmetrics resizes so in front of its own Inception
                images = torch.nn.functional.interpolate(
                    images.float(), (299, 299), mode="bilinear", antialias=True
                )
                images = images.round().clamp(0, 255).byte()
            return extractor(images).features

    size = tuple(real.shape[1:])
    metric = FrechetInceptionDistance(Network(), input_img_size=size).double()
    for images, is_real in ((real, True), (fake, False)):
        for batch in images.split(16):
            metric.update(batch, real=is_real)
    return {"fid": float(metric.compute())}


def of_clean_fid(extractor: InceptionFeatures, real: Tensor, fake: Tensor) -> dict[str, float]:
    """FID by clean-fid's resize and clean-fid's distance, rounded before the same network."""
    from cleanfid.resize import make_resizer

    resize = make_resizer("PIL", False, "bicubic", (299, 299))

    def features(images: Tensor) -> Features:
        arrays = (resize(image.permute(1, 2, 0).numpy()) for image in images)
        rounded = (torch.from_numpy(a).permute(2, 0, 1).round().clamp(0, 255) for a in arrays)
        return extract(extractor, (image[None].byte() for image in rounded))

    sides = [features(images).features.double().numpy() for images in (real, fake)]
    (m1, s1), (m2, s2) = ((x.mean(0), np.cov(x, rowvar=False)) for x in sides)
    roots = np.sqrt(np.linalg.eigvals(s1 @ s2).astype(complex)).real.sum()
    return {"fid": float((m1 - m2) @ (m1 - m2) + np.trace(s1) + np.trace(s2) - 2 * roots)}


def measure(real: Tensor, fake: Tensor, folder: Path) -> Told:
    """Scores by library; uint8 images ``N×3×H×W``."""
    weights = random_inception(folder / "random.pth")
    plain, clean = InceptionFeatures(weights), InceptionFeatures(weights, resizer=CleanResize())
    return {
        "ganforge": of_ganforge(plain, real, fake),
        "torch-fidelity": of_torch_fidelity(weights, real, fake),
        "ganforge, clean resize": of_ganforge(clean, real, fake),
        "clean-fid's resize": of_clean_fid(plain, real, fake),
        "torchmetrics, network's resize": of_torchmetrics(plain, real, fake, antialias=False),
        "torchmetrics, its own resize": of_torchmetrics(plain, real, fake, antialias=True),
    }


def main(arguments: list[str]) -> None:
    """Print the table of docs/results.md."""
    count = int(arguments[2]) if len(arguments) > 2 else 200
    with TemporaryDirectory() as name:
        folder = Path(name)
        sides = [ImageFiles(Path(path), None, folder).pick(count, 0) for path in arguments[:2]]
        real, fake = (torch.cat([make() for make in side.load()]) for side in sides)
        told = measure(real, fake, folder)
    columns = ("fid", "kid", "is", "precision", "recall")
    print(f"| {len(real)} and {len(fake)} images | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    for library, values in told.items():
        cells = (f"{values[c]:.7g}" if c in values else "" for c in columns)
        print(f"| {library} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(sys.argv[1:])
