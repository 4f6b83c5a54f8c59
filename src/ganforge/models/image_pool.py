"""A history of generated images (Shrivastava et al. 2017, section 2.3)."""

import torch
from torch import Tensor


class ImagePool:
    """Shows a critic old fakes half of the time, so that it does not forget what it has seen.

    Until ``size`` images are in the pool, every image enters it and is shown. Then an image is,
    with equal chance, shown itself, or swapped with a random older one. With ``size=0`` the critic
    sees every image as it is made.

    ``choose`` decides on the host, a call does the same work whatever was decided: a step can be
    recorded and repeated. The pool never leaves its place in memory for the same reason.
    """

    def __init__(self, size: int, seed: int) -> None:
        if size < 0:
            raise ValueError(f"the image pool holds 0 images or more, not {size}: set pool_size")
        self.size = size
        self._filled = 0
        self._images: Tensor | None = None
        self._choices: Tensor | None = None
        self._rng = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self._filled

    def choose(self, count: int, device: torch.device | str) -> None:
        """Decide about the next ``count`` images: their places, who enters, who is swapped."""
        if self.size == 0:
            return
        choices = torch.tensor([self._choice() for _ in range(count)])
        if self._choices is None or self._choices.shape != choices.shape:
            self._choices = choices.to(device)
        else:
            self._choices.copy_(choices, non_blocking=True)

    def _choice(self) -> tuple[int, bool, bool]:
        if self._filled < self.size:
            self._filled += 1
            return self._filled - 1, True, False
        if torch.rand((), generator=self._rng) < 0.5:
            return 0, False, False
        return int(torch.randint(self.size, (), generator=self._rng)), True, True

    def __call__(self, images: Tensor) -> Tensor:
        """As many images as were chosen for, ``N×C×H×W`` and detached: new ones and old ones."""
        images = images.detach().float()
        if self.size == 0:
            return images
        if self._images is None:
            self._images = images.new_zeros(self.size, *images.shape[1:])
        # One after the other: an image may come out that a neighbour has just put in.
        return torch.cat(
            [self._exchange(*pair) for pair in zip(images, self._choices, strict=True)]
        )

    def _exchange(self, image: Tensor, choice: Tensor) -> Tensor:
        """The image shown, ``1×C×H×W``."""
        place, (enters, swapped) = choice[:1], choice[1:].bool()
        old = self._images.index_select(0, place)
        self._images.index_copy_(0, place, torch.where(enters, image, old))
        return torch.where(swapped, old, image)

    def state_dict(self) -> dict[str, Tensor]:
        """The images, none of them an empty tensor, and the state of the random choices."""
        images = torch.empty(0) if self._images is None else self._images[: self._filled]
        return {"images": images, "rng": self._rng.get_state()}

    def load_state_dict(self, state: dict[str, Tensor], device: torch.device | str) -> None:
        """Go on where ``state`` was taken."""
        images = state["images"][: self.size]
        self._filled = len(images)
        if self._filled:
            if self._images is None:
                self._images = torch.zeros(self.size, *images.shape[1:], device=device)
            self._images[: self._filled].copy_(images)
        # A clone: a generator that is set from a view into a larger tensor crashes.
        self._rng.set_state(state["rng"].cpu().clone())
