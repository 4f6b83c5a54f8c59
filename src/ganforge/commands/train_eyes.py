"""``python -m ganforge.commands.train_eyes CEW.zip``: the classifier of open and closed eyes."""

import argparse
import os
import re
from pathlib import Path, PurePosixPath

import torch
import torch.nn.functional as F
from torch import Tensor

from ganforge.config.sentences import fail
from ganforge.data.decode import Decoder, decode_files
from ganforge.data.listing import list_images
from ganforge.metrics.eye_state import FILE, SIDE, EyeStateNet
from ganforge.utils.errors import GanforgeError, UserError
from ganforge.utils.files import atomic_path

EPOCHS, BATCH, RATE, TEST_SHARE = 14, 64, 4e-3, 0.2
SMALLEST = 12  # pixels that an eye may have had


def read_eyes(path: Path | str) -> tuple[Tensor, Tensor, list[str]]:
    """Grey eyes uint8 ``N×1×24×24``, whether they are open, and whose they are.

    Open and closed eyes lie in folders of these names, at any depth. Names that differ in a last
    ``_L`` or ``_R`` are the eyes of one face.
    """
    listing = list_images(path)
    named = [
        (name, part)
        for name in listing.names
        if (part := next((p for p in PurePosixPath(name).parts if p in ("open", "closed")), None))
    ]
    if {part for _, part in named} != {"open", "closed"}:
        raise UserError(f"'{path}' has no images of eyes in folders open and closed")
    decoder = Decoder(SIDE, 1, "resize")
    parts = decode_files(listing, [name for name, _ in named], decoder, "reading eyes")
    images = torch.cat([torch.from_numpy(part.images) for part in parts])
    faces = [re.sub(r"_[LR]\.\w+$", "", PurePosixPath(name).name) for name, _ in named]
    return images, torch.tensor([part == "open" for _, part in named]).float(), faces


def fit(eyes: Tensor, opened: Tensor, seed: int = 0) -> EyeStateNet:
    """Train on uint8 eyes that are mirrored, turned, scaled, moved and coarsened at random."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = EyeStateNet().train()
        optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-3)
        steps = EPOCHS * (len(eyes) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
        for _ in range(steps):
            chosen = torch.randint(len(eyes), (BATCH,))
            logits = network(_varied(eyes[chosen].float())).squeeze(1)
            loss = F.binary_cross_entropy_with_logits(logits, opened[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def _varied(eyes: Tensor) -> Tensor:
    n = len(eyes)
    side = int(torch.randint(SMALLEST, SIDE + 1, ()))
    small = F.interpolate(eyes, (side, side), mode="bilinear", antialias=True)
    eyes = F.interpolate(small, (SIDE, SIDE), mode="bilinear")
    turn, scale = (torch.rand(n) - 0.5) * 0.4, torch.rand(n) * 0.35 + 0.8
    mirror = torch.where(torch.rand(n) < 0.5, -1.0, 1.0)
    cos, sin = scale * turn.cos(), scale * turn.sin()
    moved = (torch.rand(2, n) - 0.5) * 0.2
    matrix = torch.stack([cos * mirror, -sin, moved[0], sin * mirror, cos, moved[1]], 1)
    places = F.affine_grid(matrix.view(n, 2, 3), eyes.shape, align_corners=False)
    return F.grid_sample(eyes, places, padding_mode="border", align_corners=False)


@torch.inference_mode()
def accuracy(network: EyeStateNet, eyes: Tensor, opened: Tensor) -> float:
    """The share of right answers."""
    return ((network(eyes.float()).squeeze(1) > 0) == (opened > 0.5)).float().mean().item()


def held_out(faces: list[str], seed: int = 0) -> Tensor:
    """Which rows are for testing: both eyes of a face, or neither."""
    known = sorted(set(faces))
    order = torch.randperm(len(known), generator=torch.Generator().manual_seed(seed))
    chosen = {known[i] for i in order[: round(TEST_SHARE * len(known))].tolist()}
    return torch.tensor([face in chosen for face in faces])


def train_eyes(path: Path | str, output: Path) -> float:
    """Train, measure on faces not trained on, and write the weights."""
    from safetensors.torch import save_file

    eyes, opened, faces = read_eyes(path)
    test = held_out(faces)
    network = fit(eyes[~test], opened[~test])
    share = accuracy(network, eyes[test], opened[test])
    with atomic_path(output) as temporary:
        save_file(network.state_dict(), temporary)
    print(
        f"{share:.1%} of {int(test.sum())} eyes of faces not trained on are told right; written to "
        f"{output}"
    )
    return share


def main() -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(prog="python -m ganforge.commands.train_eyes")
    parser.add_argument("eyes", help="folder or zip archive with folders open and closed")
    home = os.environ.get("GANFORGE_DATA") or Path.home() / ".cache" / "ganforge"
    parser.add_argument("output", nargs="?", default=Path(home) / "weights" / FILE, type=Path)
    arguments = parser.parse_args()
    try:
        train_eyes(arguments.eyes, arguments.output)
    except GanforgeError as error:
        fail(str(error), error.exit_code)


if __name__ == "__main__":
    main()
