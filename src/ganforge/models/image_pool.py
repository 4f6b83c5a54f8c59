"""A history of generated images (Shrivastava et al. 2017, section 2.3)."""

import torch
from torch import Tensor


class ImagePool:
    """Shows a critic old fakes half of the time, so that it does not forget what it has seen.

    Until ``size`` images are in the pool, every image enters it and is shown. Then an image is,
    with equal chance, shown itself, or swapped with a random older one. With ``size=0`` the critic
    sees every image as it is made.
    """

    def __init__(self, size: int, seed: int) -> None:
        if size < 0:
            raise ValueError(f"the image pool holds 0 images or more, not {size}: set pool_size")
        self.size = size
        self._images: Tensor | None = None
        self._rng = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return 0 if self._images is None else len(self._images)

    def __call__(self, images: Tensor) -> Tensor:
        """Images of the same number, ``N×C×H×W`` and detached: new ones and old ones."""
        images = images.detach().float()
        if self.size == 0:
            return images
        return torch.stack([self._exchange(image) for image in images])

    def _exchange(self, image: Tensor) -> Tensor:
        if len(self) < self.size:
            kept = image[None].clone()
            self._images = kept if self._images is None else torch.cat([self._images, kept])
            return image
        if torch.rand((), generator=self._rng) < 0.5:
            return image
        chosen = int(torch.randint(self.size, (), generator=self._rng))
        old = self._images[chosen].clone()
        self._images[chosen] = image
        return old

    def state_dict(self) -> dict[str, Tensor]:
        """The images, none of them an empty tensor, and the state of the random choices."""
        images = torch.empty(0) if self._images is None else self._images
        return {"images": images, "rng": self._rng.get_state()}

    def load_state_dict(self, state: dict[str, Tensor], device: torch.device | str) -> None:
        """Go on where ``state`` was taken."""
        self._images = state["images"].to(device).clone() if len(state["images"]) else None
        # A clone: a generator that is set from a view into a larger tensor crashes.
        self._rng.set_state(state["rng"].cpu().clone())
