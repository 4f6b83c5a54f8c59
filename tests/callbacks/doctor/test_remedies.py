"""What the doctor suggests fits the model that it is suggested for."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
from test_rules import CASE, SICK

from ganforge.callbacks.doctor.case import describe, gradient_weights
from ganforge.config.build import build
from helpers import TINY_AVATARS, composed, options

NARROW = ["model.generator.width=8", "model.discriminator.width=8"]
MODELS = {
    "dcgan": [*TINY_AVATARS, *NARROW],
    "gan": [*TINY_AVATARS, "model=gan", "features=cnn", "features.weights=avatars"],
    "frugal": ["model=frugal", *TINY_AVATARS, *NARROW],
    "sngan": ["model=sngan", *TINY_AVATARS, *NARROW],
    "wgan_gp": ["model=wgan_gp", *TINY_AVATARS, *NARROW],
    "r3gan": ["model=r3gan", *TINY_AVATARS, "model.generator.width=16"],
    "ring2d": ["experiment=ring2d"],
    "cyclegan": ["experiment=cyclegan_avatars", "model.a_to_b.width=4", "model.critic_a.width=4"],
    "region": ["model=region", "model.generator.width=4", "model.discriminator.width=4"],
    "pix2pix": ["model=pix2pix", "model.generator.width=4", "model.discriminator.width=4"],
}


def described(config, module, **group):
    """The case of a model as a training would describe it, with nothing in use yet."""
    groups = [[{"lr": 2e-4} | group]] * 2
    trainer = SimpleNamespace(
        datamodule=SimpleNamespace(shape=config.data.shape),
        strategy=SimpleNamespace(optimizers=[SimpleNamespace(param_groups=g) for g in groups]),
    )
    probe = SimpleNamespace(data_spread=0.4, distance=30.0)
    return replace(describe(trainer, module, probe), in_use=frozenset())


def test_a_rate_is_changed_from_the_configured_one_and_not_from_that_of_a_warm_up(tmp_path):
    config = composed("train", MODELS["pix2pix"], tmp_path, tmp_path)
    case = described(config, build(config.model), lr=1e-6, initial_lr=2e-4)
    assert case.rate("critic", 0.25) == ["model.optimizer_discriminator.lr=5e-05"]


def test_models_are_complete():
    assert set(options("model")) <= set(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_every_remedy_can_be_built_with_every_model(model, tmp_path):
    """Each override that a rule may name for a model composes, and the model with it is made."""
    config = composed("train", MODELS[model], tmp_path, tmp_path)
    case = described(config, build(config.model))
    judged = [
        replace(case, floor=0.0, chance=math.log(4)),  # its loss has a floor, or has none
        replace(case, floor=None, chance=None),
    ]
    findings = [rule(sick, facts) for rule, sick, _ in SICK.values() for facts in judged]
    remedies = {remedy for finding in findings if finding for remedy in finding.remedies}
    remedies |= {"model.clip_gradient=1.0", "trainer.precision=32-true"}
    assert "norm=spectral" in remedies
    assert any(r.startswith("regularizer=[gradient_penalty]") for r in remedies)
    assert ("augment=diffaugment" in remedies) == (model != "ring2d")
    for remedy in sorted(remedies):
        build(composed("train", [*MODELS[model], *remedy.split()], tmp_path, tmp_path).model)


def test_no_norm_is_named_for_a_critic_that_takes_none():
    rule, sick, _ = SICK["critic_wins"]
    assert "norm=spectral" in rule(sick, CASE).remedies
    assert "norm=spectral" not in rule(sick, replace(CASE, weight_norm=False)).remedies


@pytest.mark.parametrize("case", [CASE, replace(CASE, images=False), replace(CASE, latent=False)])
def test_a_remedy_in_use_is_not_named_again(case):
    for rule, sick, _ in SICK.values():
        remedies = rule(sick, case).remedies
        used = replace(case, in_use=frozenset(r.split()[0] for r in remedies))
        assert rule(sick, used).remedies == ()
        assert "try" not in rule(sick, used).message


@pytest.mark.parametrize(
    ("model", "chosen", "found"),
    [
        ("dcgan", "r1", {"r1.weight": 1.0}),
        ("dcgan", "lazy_r1", {"lazy_r1.regularizer.weight": 1.0}),
        ("dcgan", "gradient_penalty", {}),
        ("r3gan", "r1_r2", {"r1.weight": 1.0}),
        ("ring2d", "r1_points", {"r1.weight": 0.1}),
    ],
)
def test_weights_of_r1_are_found_by_what_sets_them(model, chosen, found, tmp_path):
    """Read from the model, so that a remedy that lowers one composes."""
    overrides = [*MODELS[model], f"regularizer=[{chosen}]", "norm=none"]
    config = composed("train", overrides, tmp_path, tmp_path)
    case = described(config, build(config.model))
    keys = {f"model.objective.regularizers.{key}": weight for key, weight in found.items()}
    assert case.gradient_weights == keys
    for key, remedy in zip(keys, case.steeper, strict=True):
        lowered = build(composed("train", [*overrides, remedy], tmp_path, tmp_path).model)
        assert gradient_weights(lowered)[key] == pytest.approx(keys[key] / 10)


def test_points_get_the_weight_that_is_made_for_them():
    for rule, sick, _ in SICK.values():
        if finding := rule(sick, replace(CASE, images=False)):
            assert "regularizer=[r1]" not in finding.remedies
    rule, sick, _ = SICK["critic_wins"]
    assert rule(sick, replace(CASE, images=False)).remedies[0] == "regularizer=[r1_points]"
    assert rule(sick, CASE).remedies[0] == "regularizer=[r1]"
    for name in ("r1", "lazy_r1"):
        used = replace(CASE, in_use=frozenset([f"regularizer=[{name}]"]))
        assert not any("r1" in remedy for remedy in rule(sick, used).remedies)
