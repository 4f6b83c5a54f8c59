import copy
import itertools
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback
from torch.testing import assert_close

from ganforge.augment.diffaugment import Color, DiffAugment, Translation
from ganforge.callbacks.ema import EMA
from ganforge.models.cyclegan import CycleGAN
from ganforge.models.image_pool import ImagePool
from ganforge.models.schedules import constant_then_linear
from ganforge.networks.patchgan import PatchGAN
from ganforge.networks.resnet import ResnetGenerator
from ganforge.utils.images import to_float
from ganforge.utils.seeds import number
from models.tiny_translators import (
    NETWORKS,
    Domains,
    adam,
    make_cyclegan,
    make_pix2pix,
    make_remembering,
    sgd,
    weights,
)
from tiny import shown_by


def assert_same(ours, theirs, **tolerance):
    assert ours.keys() == theirs.keys()
    for key in ours:
        assert_close(ours[key], theirs[key], msg=lambda m, key=key: f"{key}: {m}", **tolerance)


def test_typical_inputs_are_training_images_of_the_side(monkeypatch):
    """Pieces as large as the test images, in the range of the networks."""
    sides = {
        side: torch.full((20, 3, 12, 12), fill).byte() for side, fill in (("a", 0), ("b", 255))
    }

    def domain(side):
        images = {"train": sides[side], "test": sides[side][:, :, :8, :8]}
        return SimpleNamespace(split=lambda name: SimpleNamespace(images=images[name]))

    data = SimpleNamespace(datamodule=SimpleNamespace(domain=domain))
    monkeypatch.setattr(CycleGAN, "trainer", data)
    module = make_cyclegan()
    for name, value in (("a_to_b", -1.0), ("b_to_a", 1.0)):
        (batch,) = (torch.cat(parts) for parts in zip(*module.typical_inputs(name), strict=True))
        assert torch.equal(batch, torch.full((20, 3, 8, 8), value))
    assert not list(module.typical_inputs("critic_a"))


@pytest.mark.parametrize(("lambda_identity", "passes"), [(0.5, 2), (0.0, 2)])
def test_no_forward_pass_twice(lambda_identity, passes, tiny_trainer):
    """A generator runs over real images once and over fakes once; a critic three times."""
    module = make_cyclegan(lambda_identity=lambda_identity)
    seen = {name: [] for name in NETWORKS}
    for name, shapes in seen.items():
        getattr(module, name).register_forward_hook(
            lambda _, inputs, out, shapes=shapes: shapes.append(len(inputs[0]))
        )
    tiny_trainer(max_steps=1).fit(module, datamodule=Domains())
    first = 4 if lambda_identity else 2  # translation and identity together
    for name in ("a_to_b", "b_to_a"):
        assert seen[name] == [first, 2][:passes]
    for name in ("critic_a", "critic_b"):
        assert seen[name] == [2, 2, 2]


def test_steps_by_hand(tiny_trainer):
    """A plain loop of the algorithm, every pass made for itself, gives the same weights."""
    module = make_cyclegan(optimizer=sgd, pool_size=3)
    g, f, d_a, d_b = (copy.deepcopy(getattr(module, name)) for name in NETWORKS)
    data = Domains()
    tiny_trainer(max_steps=3).fit(module, datamodule=data)

    pools = [ImagePool(3, number(0, 0, f"pool {side}")) for side in "ab"]
    for batch in itertools.islice(data.train_dataloader(), 3):
        a, b = to_float(batch["a"]), to_float(batch["b"])
        loss = 0.0
        for critic, real, fake, pool in ((d_a, a, f(b), pools[0]), (d_b, b, g(a), pools[1])):
            shown = shown_by(pool, fake.detach())
            loss = loss + 0.5 * ((critic(real) - 1) ** 2).mean() + 0.5 * (critic(shown) ** 2).mean()
        _descend(loss, d_a, d_b)
        fake_a, fake_b = f(b), g(a)
        loss = ((d_a(fake_a) - 1) ** 2).mean() + ((d_b(fake_b) - 1) ** 2).mean()
        loss = loss + 10 * (F.l1_loss(f(fake_b), a) + F.l1_loss(g(fake_a), b))
        loss = loss + 5 * (F.l1_loss(f(a), a) + F.l1_loss(g(b), b))
        _descend(loss, g, f)
    by_hand = dict(zip(NETWORKS, (g, f, d_a, d_b), strict=True))
    for name, network in by_hand.items():
        for ours, theirs in zip(
            getattr(module, name).parameters(), network.parameters(), strict=True
        ):
            assert_close(ours, theirs, rtol=1e-3, atol=1e-4)  # other images: 5e-3


def _descend(loss, *networks):
    parameters = [p for network in networks for p in network.parameters()]
    for p, grad in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        p.data -= 0.05 * grad


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_an_update_moves_its_own_player_alone(precision, tiny_trainer):
    module, moved, before = make_cyclegan(), [], {}
    update = module.update

    def spied(player, optimizer, terms):
        before.update({name: weights(module, [name]) for name in NETWORKS})
        update(player, optimizer, terms)
        after = {name: weights(module, [name]) for name in NETWORKS}
        moved.append(
            (
                player,
                {
                    n
                    for n in NETWORKS
                    if any((before[n][k] != v).any() for k, v in after[n].items())
                },
            )
        )

    module.update = spied
    trainer = tiny_trainer(max_steps=2, precision=precision)
    trainer.fit(module, datamodule=Domains())
    critics, generators = {"critic_a", "critic_b"}, {"a_to_b", "b_to_a"}
    assert moved == [("discriminator", critics), ("generator", generators)] * 2
    assert trainer.global_step == 2
    assert module.images_seen == 2 * 4


class Kill(Callback):
    """Saves and ends at a step, in the middle of an epoch."""

    def __init__(self, step, path):
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True
            trainer.fit_loop.epoch_loop.min_steps = 0


def test_each_critic_has_an_objective_of_its_own(tiny_trainer):
    """Lazy takes its turn for both critics at once; LeCam's anchors are of one critic's answers."""
    module, found = make_remembering(), []
    update = module.update

    def spied(player, optimizer, terms):
        found.extend([terms] if player == "discriminator" else [])
        update(player, optimizer, terms)

    module.update = spied
    tiny_trainer(max_steps=4).fit(module, datamodule=Domains())
    for side, objective in (("a", module.objective), ("b", module.objective_b)):
        assert [terms[f"lazy_{side}"].weight for terms in found] == [15, 0, 0, 15]
        assert found[0][f"lazy_{side}"].value.item() > 0
        for i, name in enumerate((f"logit(x)_{side}", f"logit(G(z))_{side}")):
            anchor = found[0][name].value.item()
            for terms in found[1:]:
                anchor = 0.9 * anchor + 0.1 * terms[name].value.item()
            assert objective.regularizers["lecam"].anchors[i].item() == pytest.approx(anchor)


@pytest.mark.parametrize("make", [make_cyclegan, make_remembering, make_pix2pix])
@pytest.mark.parametrize("stop", [4, 6, 7])
def test_a_resumed_run_ends_with_the_same_weights(make, stop, tiny_trainer, tmp_path):
    """Pool, rates, optimizers, averages and the position in both domains are in the checkpoint."""
    paired = make is make_pix2pix
    names = ["generator", "discriminator"] if paired else NETWORKS
    averaged = ["generator"] if paired else ["a_to_b", "b_to_a"]
    options = {"dropout": 0.0} if paired else {"pool_size": 3}

    def run(seed, callbacks, ckpt_path=None):
        module = make(seed, schedule=lambda o: constant_then_linear(o, 10, 0.3), **options)
        callbacks = [EMA(0.01, networks=averaged), *callbacks]
        trainer = tiny_trainer(max_steps=10, callbacks=callbacks)
        data = Domains(paired=paired, channels_a=1 if paired else 3)
        trainer.fit(module, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
        return module, callbacks[0], trainer

    whole, average, _ = run(0, [])
    path = tmp_path / "killed.ckpt"
    _, _, trainer = run(0, [Kill(stop, path)])
    assert trainer.global_step == stop
    state = torch.load(path, weights_only=True)
    assert state["global_step"] == stop
    resumed, average_too, trainer = run(9, [], path)
    assert trainer.global_step == 10
    assert resumed.images_seen == whole.images_seen
    assert_same(weights(resumed, names), weights(whole, names), rtol=0, atol=0)
    for name in averaged:
        ours, theirs = average.averages[name], average_too.averages[name]
        assert_same(dict(ours.state_dict()), dict(theirs.state_dict()), rtol=0, atol=0)


def test_the_rate_stays_then_falls_to_zero(tiny_trainer):
    module, rates = make_cyclegan(schedule=lambda o: constant_then_linear(o, 8, 0.5)), []
    update = module.update

    def spied(player, optimizer, terms):
        rates.append(optimizer.param_groups[0]["lr"] / 2e-3)
        update(player, optimizer, terms)

    module.update = spied
    tiny_trainer(max_steps=8).fit(module, datamodule=Domains())
    assert rates[::2] == rates[1::2]
    assert rates[::2] == pytest.approx([1, 1, 1, 1, 1, 0.75, 0.5, 0.25])
    with pytest.raises(ValueError, match="share between 0 and 1"):
        constant_then_linear(adam(module.parameters()), 5, 1.5)


def test_a_pool_mixes_old_and_new():
    pool = ImagePool(5, seed=0)
    images = torch.arange(400.0).view(400, 1, 1, 1)
    shown = torch.cat([shown_by(pool, batch) for batch in images.split(4)]).flatten()
    assert_close(shown[:5], images.flatten()[:5])
    new = (shown == images.flatten())[5:].float().mean()
    assert 0.4 < new < 0.6
    assert len(pool) == 5
    # Nothing is lost or doubled: what was not shown yet is still in the pool.
    held = set(pool.state_dict()["images"].flatten().tolist())
    later = shown[5:].tolist()
    assert set(later) | held >= set(range(5, 400))


def test_a_pool_goes_on_where_it_was_saved():
    pool, other = ImagePool(3, seed=0), ImagePool(3, seed=8)
    images = torch.randn(40, 1, 2, 2)
    shown_by(pool, images[:10])
    other.load_state_dict(pool.state_dict(), "cpu")
    assert_close(shown_by(other, images[10:]), shown_by(pool, images[10:]), rtol=0, atol=0)
    empty = ImagePool(3, seed=1)
    empty.load_state_dict(ImagePool(3, seed=0).state_dict(), "cpu")
    assert len(empty) == 0


def test_a_pool_of_zero_shows_every_image_and_detaches():
    images = torch.randn(4, 1, 2, 2, requires_grad=True)
    shown = shown_by(ImagePool(0, 0), images)
    assert_close(shown, images.detach())
    assert not shown.requires_grad
    with pytest.raises(ValueError, match="0 images or more, not -1"):
        ImagePool(-1, 0)


def test_identity_keeps_a_translator_from_turning_colours(tiny_trainer):
    """Generators that both invert are perfect cycles: the identity term alone objects."""

    class Inverter(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = torch.nn.Parameter(torch.tensor(-1.0))

        def forward(self, x):
            return self.gain * x

    terms = {}
    module = make_cyclegan()
    module.a_to_b, module.b_to_a = Inverter(), Inverter()
    update = module.update

    def spied(player, optimizer, found):
        terms.update(found)
        update(player, optimizer, found)

    module.update = spied
    tiny_trainer(max_steps=1).fit(module, datamodule=Domains())
    assert terms["cycle_a"].value.item() == pytest.approx(0, abs=1e-6)
    assert terms["identity_a"].value.item() > 0.5
    assert terms["identity_a"].weight == 5
    assert terms["cycle_b"].weight == 10
    assert {"adversarial_a", "adversarial_b", "D(x)_a"} < set(terms)
    assert terms["D(x)_a"].weight == 0


@pytest.mark.parametrize("size", [(16, 16), (5, 33), (2, 3)])
def test_translation_takes_any_size_and_leaves_no_trace(size):
    module = make_cyclegan()
    module.train()
    images = torch.randint(256, (2, 3, *size)).byte()
    state = torch.get_rng_state()
    fake = module.translate(images, "a_to_b")
    assert fake.shape == images.shape
    assert fake.dtype == torch.uint8
    assert all(part.training for part in module.modules())
    assert_close(torch.get_rng_state(), state)
    with pytest.raises(ValueError, match="a_to_b and b_to_a, not b_to_c"):
        module.translate(images, "b_to_c")


def test_panels_show_both_ways():
    panels = make_cyclegan().panels(*(torch.zeros(2, 3, 16, 16).byte() for _ in "ab"))
    assert set(panels) == {"a_to_b", "b_to_a"}
    assert list(panels["a_to_b"]) == ["real A", "fake B", "reconstructed A", "identity A"]
    assert list(panels["b_to_a"]) == ["real B", "fake A", "reconstructed B", "identity B"]


def test_domains_of_different_channels_have_no_identity(tiny_trainer):
    def grey_to_colour(**options):
        module = make_cyclegan(**options)
        module.a_to_b, module.b_to_a = (
            ResnetGenerator(1, 3, 4, 1, 1),
            ResnetGenerator(3, 1, 4, 1, 1),
        )
        module.critic_a = PatchGAN(1, 4, 1)
        return module

    data = Domains(channels_a=1)
    with pytest.raises(ValueError, match=r"of 1 and 3 channels: set model\.lambda_identity=0"):
        tiny_trainer(max_steps=1).fit(grey_to_colour(), datamodule=data)
    module = grey_to_colour(lambda_identity=0.0)
    tiny_trainer(max_steps=1).fit(module, datamodule=data)
    panels = module.panels(*(torch.zeros(2, c, 16, 16).byte() for c in (1, 3)))
    assert list(panels["a_to_b"]) == ["real A", "fake B", "reconstructed A"]
    assert list(panels["b_to_a"]) == ["real B", "fake A", "reconstructed B"]


def test_pix2pix_by_hand(tiny_trainer):
    module = make_pix2pix(optimizer=sgd, dropout=0.0, channels_last=False)
    g, d = copy.deepcopy(module.generator), copy.deepcopy(module.discriminator)
    data = Domains(paired=True, channels_a=1)
    tiny_trainer(max_steps=2).fit(module, datamodule=data)
    for batch in itertools.islice(data.train_dataloader(), 2):
        a, b = to_float(batch["a"]), to_float(batch["b"])
        fake = g(a)
        real_logits, fake_logits = (d(torch.cat([a, x], 1)) for x in (b, fake.detach()))
        _descend(F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean(), d)
        adversarial = F.softplus(-d(torch.cat([a, fake], 1))).mean()
        _descend(adversarial + 100 * F.l1_loss(fake, b), g)
    for ours, theirs in ((module.generator, g), (module.discriminator, d)):
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert_close(p, q, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("noise", [True, False])
def test_dropout_is_noise_at_test_only_by_choice(noise):
    module = make_pix2pix(noise_at_test=noise)
    grey = torch.randint(256, (1, 1, 16, 16)).byte()
    first, second = (module.translate(grey, "a_to_b") for _ in range(2))
    assert torch.equal(first, second) is not noise
    assert first.shape == (1, 3, 16, 16)
    with pytest.raises(ValueError, match="translates a_to_b, not b_to_a"):
        module.translate(grey, "b_to_a")


def test_l1_alone_leaves_the_critic_out(tiny_trainer):
    """The baseline: another critic gives the same generator, and none is asked or trained."""
    results = []
    for bias in (0.0, 3.0):
        module = make_pix2pix(dropout=0.0, lambda_adversarial=0.0)
        module.discriminator.layers[0].bias.data += bias
        module.discriminator.forward = None  # a call would fail
        before = weights(module, ["discriminator"])
        tiny_trainer(max_steps=2).fit(module, datamodule=Domains(paired=True, channels_a=1))
        assert_same(weights(module, ["discriminator"]), before, rtol=0, atol=0)
        results.append(weights(module, ["generator"]))
    assert_same(*results, rtol=0, atol=0)
    assert module.discriminator_calls == 0


def test_colours_are_changed_in_each_image_of_a_pair(tiny_trainer):
    """A grey source and a target of three channels, as the model tells the augmentation."""
    module = make_pix2pix()
    module.objective.augment = DiffAugment([Color(), Translation()])
    tiny_trainer(max_steps=1).fit(module, datamodule=Domains(paired=True, channels_a=1))
    assert module.objective.augment[0].stacked == (1, 3)
