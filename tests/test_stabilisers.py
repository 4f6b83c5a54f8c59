"""Every stabiliser with every model: the terms of an update are finite, or a sentence refuses.

A model is composed once; an option's file is then put where Hydra would put it, which takes
milliseconds. Nothing is trained.
"""

import re

import pytest
import torch
from omegaconf import DictConfig, OmegaConf, open_dict

from ganforge.config.build import build
from ganforge.config.sentences import explain
from ganforge.losses.objective import Terms
from ganforge.models.cyclegan import CycleGAN
from ganforge.models.gan import GAN
from ganforge.models.region import RegionTranslator
from ganforge.utils.errors import UserError
from helpers import CONF, composed, options

SIDE = ["data.size=32", "data.channels=3"]
NARROW = ["model.generator.width=2", "model.discriminator.width=2"]
MLP = ["model.generator.hidden=[4]", "model.discriminator.hidden=[4]"]
MODELS = {
    "dcgan": ["model=dcgan", *SIDE, *NARROW],
    "gan": ["model=gan", *SIDE, *MLP],
    "frugal": ["model=frugal", *SIDE, *NARROW],
    "sngan": ["model=sngan", *SIDE, *NARROW],
    "wgan_gp": ["model=wgan_gp", *SIDE, *NARROW],
    "r3gan": ["model=r3gan", *SIDE, "model.generator.width=8", "model.generator.blocks=1"],
    "cyclegan": [
        "model=cyclegan", "data.size=32", "model.a_to_b.width=2", "model.a_to_b.blocks=1",
        "model.critic_a.width=2", "model.critic_a.layers=1",
    ],
    "pix2pix": ["model=pix2pix", "data.size=32", *NARROW, "model.discriminator.layers=1"],
    "region": ["model=region", "data.size=32", "model.discriminator.width=4"],
    "gaussian1d": ["experiment=gaussian1d", *MLP],
    "ring2d": ["experiment=ring2d", *MLP],
    "grid2d": ["experiment=grid2d", *MLP],
}  # fmt: skip
GROUPS = (
    "loss", "regularizer", "augment", "noise", "norm", "conditioning", "schedule", "rates",
)  # fmt: skip
TOYS = ("gaussian1d", "ring2d", "grid2d")
IMAGES_ALONE = {
    "augment=ada", "augment=diffaugment", "augment=jitter", "augment=translation",
    "regularizer=consistency",
}  # fmt: skip


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DictConfig]:
    folder = tmp_path_factory.mktemp("run")
    return {name: composed("train", chosen, folder, folder) for name, chosen in MODELS.items()}


def with_option(config: DictConfig, group: str, name: str) -> DictConfig:
    """A copy with one option in place of what its group chose."""
    text = (CONF / group / f"{name}.yaml").read_text()
    package = re.search(r"@package (\S+)", text)
    config, place = config.copy(), package[1] if package else group
    with open_dict(config):
        OmegaConf.update(config, place, OmegaConf.create(text), merge=place == "model")
    return config


def terms_of(config: DictConfig) -> list[Terms]:
    """What both players of a model minimise on one batch of noise."""
    torch.manual_seed(0)
    module = build(config.model)
    module.configure_optimizers()
    if isinstance(module, GAN):
        real = torch.rand(4, *config.data.shape) * 2 - 1
        labels = None if module.num_classes is None else torch.arange(4) % module.num_classes
        (batch,) = module.mini_batches(real, labels)
        return [*module._judge([batch]), *module._deceive([batch])]
    if isinstance(module, RegionTranslator):
        pair = torch.rand(2, 6, 32, 32) * 2 - 1
        critic = module.discriminator
        return [
            module.objective.discriminator(critic, pair, -pair),
            module.objective.generator(critic, -pair, pair),
        ]
    a = torch.rand(2, config.data.channels_a, 32, 32) * 2 - 1
    b = torch.rand(2, config.data.channels, 32, 32) * 2 - 1
    if isinstance(module, CycleGAN):
        sides = ((module.objective, module.critic_a, a), (module.objective_b, module.critic_b, b))
    else:
        sides = ((module.objective, module.discriminator, torch.cat([a, b], dim=1)),)
    return [
        terms
        for objective, critic, real in sides
        for terms in (
            objective.discriminator(critic, real, -real),
            objective.generator(critic, -real, real),
        )
    ]


def refusal(model: str, group: str, name: str) -> str | None:
    """Words of the sentence that refuses what makes no sense; None for what must work."""
    choice = f"{group}={name}"
    if model in TOYS and choice in IMAGES_ALONE:
        return "changes images, and the data are points"
    if model in (*TOYS, "gan", "r3gan") and choice in ("norm=batch", "norm=instance"):
        return "has no place for"
    if model in ("dcgan", "pix2pix") and choice == "regularizer=gradient_penalty":
        return "treats samples one by one"
    if model == "wgan_gp" and choice in ("norm=batch", "augment=ada"):
        return "one by one" if choice == "norm=batch" else "no boundary"
    if model in ("pix2pix", "region") and choice == "augment=ada":
        return "1 or 3 channels, not of"
    if group == "conditioning" and model in ("cyclegan", "pix2pix", "region"):
        return "takes no (num_classes|labels)"
    if group == "conditioning" and model == "gaussian1d":
        return "at least 2 classes"
    return None


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("model", MODELS)
def test_every_stabiliser_goes_with_every_model(
    model: str, group: str, plain: dict[str, DictConfig]
) -> None:
    for name in options(group):
        words = refusal(model, group, name)
        config = with_option(plain[model], group, name)
        if words is None:
            for terms in terms_of(config):
                wrong = [key for key, term in terms.items() if not term.value.isfinite().all()]
                assert not wrong, (name, wrong)
            continue
        with pytest.raises((UserError, ValueError), match=words) as found:
            terms_of(config)
        assert explain(found.value) is not None, name


def test_models_and_groups_are_complete() -> None:
    """What is new must be tried."""
    assert set(options("model")) == set(MODELS) - set(TOYS)
    choices = {f"{group}={name}" for group in GROUPS for name in options(group)}
    assert choices > IMAGES_ALONE
