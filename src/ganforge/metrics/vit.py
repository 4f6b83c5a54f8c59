"""DINOv2 and CLIP: features of large image transformers, for natural pictures."""

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from ganforge.metrics.features import Features, check_images, with_channels
from ganforge.metrics.weights import Published
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.files import file_sha256

RESIZE = "bilinear as in TensorFlow 1, no antialias"  # what torch-fidelity does for both
DINOV2 = "https://dl.fbaipublicfiles.com/dinov2/dinov2_vit{0}14/dinov2_vit{0}14_pretrain.pth"
SIZES = {"s": ("small", 384), "b": ("base", 768), "l": ("large", 1024), "g": ("giant", 1536)}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


class CLIPFeatures:
    """Image embeddings of CLIP (Radford et al. 2021) by torch-fidelity, as in CMMD and others.

    ``model`` is a name of torch-fidelity, such as ``clip-vit-b-32``. Weights are looked for in
    ``weights``, ``$GANFORGE_CLIP`` and ``data_dir/weights``, else downloaded.
    """

    resize = RESIZE

    def __init__(
        self,
        weights: str | Path | None = None,
        data_dir: str | Path = ".",
        model: str = "clip-vit-b-32",
    ) -> None:
        from torch_fidelity.feature_extractor_clip import MODEL_METADATA, MODEL_URLS

        if model not in MODEL_URLS:
            raise UserError(f"features.model={model}: choose {', '.join(MODEL_URLS)}")
        digest = MODEL_METADATA[model]["hash"]
        published = Published("CLIP", MODEL_URLS[model], "GANFORGE_CLIP", digest, f"{model}.pt")
        path = published.find(weights, Path(data_dir).expanduser() / "weights")
        self.name, self.sha256 = model, file_sha256(path)
        self.network = _clip(model, path)
        self.size = self.network.resolution
        self.dim = self.network.model.visual.output_dim

    def to(self, device: torch.device | str) -> Self:
        """Move the network to a device."""
        self.network.to(device)
        return self

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Features:
        """Return the image embeddings."""
        device = next(self.network.parameters()).device
        (features,) = self.network(with_channels(check_images(images), 3).to(device))
        return Features(features, None)


def _clip(model: str, path: Path) -> Any:
    """Build torch-fidelity's network; the file is a TorchScript archive, as OpenAI publishes it."""
    from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP

    try:
        with torch.random.fork_rng(devices=[]):
            return FeatureExtractorCLIP(
                model, ["clip"], feature_extractor_weights_path=str(path), verbose=False
            )
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise DamagedFileError(f"{path} does not hold the weights of {model}: {reason}") from error


class DINOv2Features:
    """Class tokens of DINOv2 (Oquab et al. 2023), which Stein et al. 2023 find nearest to people.

    Images are prepared as torch-fidelity does; timm has the architecture, because torch-fidelity's
    runs code that it downloads. ``model`` is ``dinov2-vit-s-14``, or ``b``, ``l``, ``g``. Weights
    are looked for in ``weights``, ``$GANFORGE_DINOV2`` and ``data_dir/weights``, else downloaded.
    """

    resize = RESIZE
    size = 224
    libraries = ("timm",)

    def __init__(
        self,
        weights: str | Path | None = None,
        data_dir: str | Path = ".",
        model: str = "dinov2-vit-s-14",
    ) -> None:
        letters = {f"dinov2-vit-{letter}-14": letter for letter in SIZES}
        if model not in letters:
            raise UserError(f"features.model={model}: choose {', '.join(letters)}")
        url = DINOV2.format(letters[model])
        published = Published("DINOv2", url, "GANFORGE_DINOV2")
        path = published.find(weights, Path(data_dir).expanduser() / "weights")
        self.name, self.sha256 = model, file_sha256(path)
        words, self.dim = SIZES[letters[model]]
        self.network = _dinov2(words, self.size, path)

    def to(self, device: torch.device | str) -> Self:
        """Move the network to a device."""
        self.network.to(device)
        return self

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Features:
        """Return the normalised class tokens."""
        from torch_fidelity.interpolate_compat_tensorflow import (
            interpolate_bilinear_2d_like_tensorflow1x,
        )

        device = next(self.network.parameters()).device
        pixels = with_channels(check_images(images), 3).to(device).float()
        pixels = interpolate_bilinear_2d_like_tensorflow1x(
            pixels, size=(self.size, self.size), align_corners=False
        )
        mean, std = (torch.tensor(c, device=device).view(3, 1, 1) * 255 for c in (MEAN, STD))
        return Features(self.network((pixels - mean) / std), None)


def _dinov2(words: str, size: int, path: Path) -> torch.nn.Module:
    """Build timm's network; position embeddings are resampled to 16×16 patches."""
    try:
        import timm
        from timm.models.vision_transformer import checkpoint_filter_fn
    except ImportError as error:
        raise UserError(
            "features=dinov2 needs a package that is not installed: pip install 'ganforge[dinov2]' "
            "(or pip install timm)."
        ) from error
    with torch.random.fork_rng(devices=[]):
        network = timm.create_model(
            f"vit_{words}_patch14_dinov2", pretrained=False, num_classes=0, img_size=size
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(checkpoint_filter_fn(state, network))
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise DamagedFileError(f"{path} does not hold DINOv2's weights: {reason}") from error
    return network.eval().requires_grad_(False)
