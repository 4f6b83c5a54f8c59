import copy
import math

import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule
from torch import nn
from torch.testing import assert_close
from torch.utils.data import DataLoader

from ganforge.losses.adversarial import (
    NonSaturating,
    Relativistic,
    RelativisticAverage,
    Wasserstein,
)
from ganforge.losses.regularizers import R1, Lazy, LeCam
from ganforge.models.gan import GAN
from ganforge.networks.conditional import AuxiliaryClassifier, LabelConcat, Projection
from ganforge.networks.mlp import MLPDiscriminator, MLPGenerator
from ganforge.utils.errors import UserError
from ganforge.utils.seeds import seed_globals, torch_rng

SGD = {
    "optimizer_generator": lambda parameters: torch.optim.SGD(parameters, lr=0.1),
    "optimizer_discriminator": lambda parameters: torch.optim.SGD(parameters, lr=0.1),
}


def weights(network):
    return [p.detach().clone() for p in network.parameters()]


def changed(before, network):
    return any(not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def spy_updates(module, after):
    """Call ``after(player)`` behind every update."""
    update = module.update

    def spied(player, *arguments):
        update(player, *arguments)
        after(player)

    module.update = spied


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_an_update_moves_its_own_player_alone(precision, tiny_gan, tiny_data, tiny_trainer):
    module = tiny_gan({"r1": R1()}, n_critic=2)
    before, moved = {}, []

    def look(player):
        networks = {"generator": module.generator, "discriminator": module.discriminator}
        if before:
            moved.append((player, {n for n, net in networks.items() if changed(before[n], net)}))
        before.update({n: weights(net) for n, net in networks.items()})

    spy_updates(module, look)
    tiny_trainer(max_steps=3, precision=precision).fit(module, datamodule=tiny_data(8))
    assert len(moved) == 8
    assert all(networks == {player} for player, networks in moved)


def test_order_of_play(tiny_gan, tiny_data, tiny_trainer):
    players = []
    module = tiny_gan(n_critic=3)
    spy_updates(module, players.append)
    tiny_trainer(max_steps=2).fit(module, datamodule=tiny_data(batch_size=12))
    assert players == [*["discriminator"] * 3, "generator"] * 2


def test_every_critic_update_has_a_mini_batch_and_noise_of_its_own(
    tiny_gan, tiny_data, tiny_trainer
):
    module = tiny_gan(n_critic=2)
    pairs = []
    inner = module.objective._critique
    module.objective._critique = lambda d, real, fake: (
        pairs.append((real.clone(), fake.detach().clone())) or inner(d, real, fake)
    )
    data = tiny_data(batch_size=8)
    tiny_trainer(max_steps=1).fit(module, datamodule=data)
    (batch,) = (next(iter(data.train_dataloader()))["image"],)
    assert_close(torch.cat([real for real, _ in pairs]), batch)
    assert not torch.equal(pairs[0][1], pairs[1][1])


def test_toggling_leaves_requires_grad_as_it_was(tiny_gan, tiny_data, tiny_trainer):
    """A layer that its user froze stays frozen, and as it is."""
    module = tiny_gan()
    frozen = module.generator.layers[0]
    frozen.requires_grad_(False)
    before = weights(frozen)
    tiny_trainer(max_steps=2).fit(module, datamodule=tiny_data())
    assert not any(p.requires_grad for p in frozen.parameters())
    assert not changed(before, frozen)
    others = [p for p in module.parameters() if all(p is not q for q in frozen.parameters())]
    assert all(p.requires_grad for p in others)


def test_one_step_by_hand(tiny_gan, tiny_data, tiny_trainer):
    """Algorithm 1 in a bare loop gives the same weights."""
    module = tiny_gan(n_critic=2, **SGD)
    module.discriminator.eval()  # dropout would draw
    g, d = copy.deepcopy(module.generator), copy.deepcopy(module.discriminator)
    data = tiny_data(batch_size=8)
    module.discriminator.train = lambda mode=True: module.discriminator
    tiny_trainer(max_steps=2).fit(module, datamodule=data)

    loss, noise = NonSaturating(), torch_rng(0, 0, "noise")
    for batch, _ in zip(data.train_dataloader(), range(2), strict=False):
        for real in batch["image"].split(4):
            fake = g(torch.randn(4, 5, generator=noise))
            value = loss.discriminator(d(real), d(fake.detach()))
            for p, grad in zip(
                d.parameters(), torch.autograd.grad(value, d.parameters()), strict=True
            ):
                p.data -= 0.1 * grad
        value = loss.generator(d(fake))
        for p, grad in zip(g.parameters(), torch.autograd.grad(value, g.parameters()), strict=True):
            p.data -= 0.1 * grad
    for ours, by_hand in ((module.generator, g), (module.discriminator, d)):
        for a, b in zip(ours.parameters(), by_hand.parameters(), strict=True):
            assert_close(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("n_critic", [1, 2])
@pytest.mark.parametrize(
    ("loss", "regularizers"),
    [
        (Relativistic(), lambda: {"r1": R1()}),
        (RelativisticAverage(), dict),
        (NonSaturating(), lambda: {"lazy": Lazy(R1(0.1), every=2), "lecam": LeCam(decay=0.5)}),
        (NonSaturating(), lambda: {"lazy": Lazy(LeCam(decay=0.5), every=2)}),
    ],
)
def test_accumulated_parts_equal_the_large_batch(
    n_critic, loss, regularizers, tiny_gan, tiny_data, tiny_trainer
):
    """Also where the loss compares with a mean of the batch, or a penalty has a memory of it."""
    results, memories = [], []
    for accumulate in (1, 2, 4):
        options = {"n_critic": n_critic, "accumulate": accumulate, **SGD}
        module = tiny_gan(regularizers(), loss=loss, **options)
        module.discriminator = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Softplus())
        module.discriminator.append(nn.Linear(8, 1))
        torch.manual_seed(1)
        for p in module.discriminator.parameters():
            nn.init.normal_(p, std=0.3)
        tiny_trainer(max_steps=3).fit(module, datamodule=tiny_data(batch_size=16 * n_critic))
        results.append(weights(module))
        memories.append([b.clone() for b in module.objective.buffers()])
    for other in (1, 2):
        assert_close(results[other], results[0], rtol=1e-4, atol=1e-6)
        assert_close(memories[other], memories[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("loss", [Wasserstein(), Relativistic()])
def test_the_generator_may_have_a_larger_batch(accumulate, loss, tiny_gan, tiny_data, tiny_trainer):
    """As WGAN-GP: 2 × 4 images that the critic has not seen, for 4 real ones."""
    module = tiny_gan(loss=loss, n_critic=2, accumulate=accumulate, generator_batch=2)
    drawn, inner = [], module.generator.forward
    module.generator.forward = lambda z: drawn.append(z.clone()) or inner(z)
    tiny_trainer(max_steps=1).fit(module, datamodule=tiny_data(batch_size=8))
    mine = [z for z in drawn if len(z)][-accumulate:]
    assert sum(len(z) for z in mine) == 8
    before = torch.cat([z for z in drawn[:-accumulate] if len(z)])
    assert not (torch.cat(mine)[:, None] == before).all(-1).any()


def test_parts_must_be_equal(tiny_gan, tiny_data, tiny_trainer):
    with pytest.raises(UserError, match="accumulate=3 does not divide the 4 images"):
        tiny_trainer(max_steps=1).fit(tiny_gan(accumulate=3), datamodule=tiny_data(4))


def test_only_the_last_images_keep_their_graph(tiny_gan, tiny_data, tiny_trainer):
    module = tiny_gan(n_critic=3)
    graphs = []
    inner = module.objective._critique
    module.objective._critique = lambda d, real, fake: (
        graphs.append(fake.requires_grad) or inner(d, real, fake)
    )
    tiny_trainer(max_steps=1).fit(module, datamodule=tiny_data(batch_size=12))
    assert graphs == [False, False, True]


class LinearCritic(nn.Module):
    """D(x) = w·Σx: what it says tells its weight."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 1, bias=False)
        self.said = []

    def forward(self, x):
        out = self.layer(x.flatten(1))
        self.said.append((out.detach().float(), self.layer.weight.detach().clone(), x.detach()))
        return out


def test_autocast_keeps_no_old_weights(tiny_gan, tiny_data, tiny_trainer):
    """Autocast caches bf16 copies of weights: a second update must see the first one's result."""
    module = tiny_gan(
        loss=Wasserstein(),
        n_critic=2,
        optimizer_generator=SGD["optimizer_generator"],
        optimizer_discriminator=lambda p: torch.optim.SGD(p, lr=10.0),
    )
    module.discriminator = LinearCritic()
    step = module.training_step

    def cached_step(batch, batch_idx):
        """Lightning's own contexts keep a cache in some versions and none in others."""
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=True):
            step(batch, batch_idx)

    module.training_step = cached_step
    tiny_trainer(max_steps=2, precision="bf16-mixed").fit(module, datamodule=tiny_data(8))
    assert len(module.discriminator.said) == 10
    seen = [weight for _, weight, _ in module.discriminator.said]
    assert not torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[2], seen[4])
    for said, weight, x in module.discriminator.said:
        exact = x.float().flatten(1) @ weight.T
        assert_close(said, exact, rtol=0.05, atol=0.05 * exact.abs().max().item() + 0.01)


def test_penalty_gradients_are_fp32_under_autocast(tiny_gan, tiny_data, tiny_trainer):
    """The double backward runs outside autocast too: else its matrix products are bf16."""

    class OnlyR1(Wasserstein):
        def discriminator(self, real_logits, fake_logits):
            return 0 * (real_logits.mean() + fake_logits.mean())

    gradients = {}
    for precision in ("32-true", "bf16-mixed"):
        module = tiny_gan({"r1": R1()}, loss=OnlyR1(), **SGD)
        module.discriminator = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 64), nn.Softplus(), nn.Linear(64, 1)
        )
        torch.manual_seed(3)
        for p in module.discriminator.parameters():
            nn.init.normal_(p)
        found = gradients.setdefault(precision, [])

        def keep(player, module=module, found=found):
            if player == "discriminator":
                found.extend(p.grad.clone() for p in module.discriminator.parameters())

        spy_updates(module, keep)
        tiny_trainer(max_steps=1, precision=precision).fit(module, datamodule=tiny_data())
    for mixed, full in zip(gradients["bf16-mixed"], gradients["32-true"], strict=True):
        assert_close(mixed, full, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("limit", [1e-3, 1e6, None])
def test_clipping_bounds_the_applied_norm(limit, tiny_gan, tiny_data, tiny_trainer):
    """With SGD at rate 1 the move is the gradient that was applied."""
    norms, before = {"generator": [], "discriminator": []}, {}
    module = tiny_gan(
        clip_gradient=limit,
        optimizer_generator=lambda p: torch.optim.SGD(p, lr=1.0),
        optimizer_discriminator=lambda p: torch.optim.SGD(p, lr=1.0),
    )
    before = {name: weights(getattr(module, name)) for name in norms}

    def measure(player):
        network = getattr(module, player)
        moves = [b - p.detach() for b, p in zip(before[player], network.parameters(), strict=True)]
        norms[player].append(torch.cat([m.flatten() for m in moves]).norm().item())
        before[player] = weights(network)

    spy_updates(module, measure)
    tiny_trainer(max_steps=2).fit(module, datamodule=tiny_data())
    for player in norms.values():
        for norm in player:
            if limit == 1e-3:
                assert norm == pytest.approx(limit, rel=1e-2)
            else:
                assert norm > 1e-2


def test_noise_differs_by_rank_and_repeats_by_seed(tiny_gan, monkeypatch):
    def drawn(rank, seed=0):
        monkeypatch.setattr(GAN, "global_rank", rank)
        module = tiny_gan(seed=seed)
        return module.draw_latents(3, module.noise)

    assert_close(drawn(0), drawn(0), rtol=0, atol=0)
    assert not torch.equal(drawn(0), drawn(1))
    assert not torch.equal(drawn(0), drawn(0, seed=7))
    assert not torch.equal(drawn(1), drawn(0, seed=1))
    assert_close(drawn(1), torch.randn(3, 5, generator=torch_rng(0, 1, "noise")))


def test_nothing_starts_where_the_first_weights_were_drawn(tiny_gan, tiny_data, tiny_trainer):
    """Neither latents nor what training draws from the global generators, on any rank."""
    seed_globals(0, 0, "weights")
    weights = torch.randn(8)
    module = tiny_gan()
    tiny_trainer(max_steps=1).fit(module, datamodule=tiny_data())
    module.on_fit_start()
    firsts = [weights, torch.randn(8), torch.randn(8, generator=torch_rng(0, 0, "noise"))]
    torch.manual_seed(0)
    firsts.append(torch.randn(8))
    assert len({first[0].item() for first in firsts}) == 4


def test_noise_goes_on_where_the_checkpoint_was_made(tiny_gan, tiny_data, tiny_trainer, tmp_path):
    module = tiny_gan()
    trainer = tiny_trainer(max_steps=3)
    trainer.fit(module, datamodule=tiny_data())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    following = module.draw_latents(4, module.noise)

    class FirstDraw(Callback):
        def on_train_start(self, trainer, pl_module):
            self.drawn = pl_module.draw_latents(4, pl_module.noise)

    first = FirstDraw()
    tiny_trainer(max_steps=4, callbacks=[first]).fit(
        tiny_gan(seed=5), datamodule=tiny_data(), ckpt_path=tmp_path / "last.ckpt"
    )
    assert_close(first.drawn, following, rtol=0, atol=0)


def test_generate_gives_uint8_and_touches_no_state(tiny_gan):
    module = tiny_gan(networks="dcgan")
    module.train()
    noise, glob = module.noise.get_state(), torch.get_rng_state()
    buffers = [b.clone() for b in module.buffers()]
    images = module.generate(module.draw_latents(3, torch.Generator().manual_seed(0)))
    assert images.dtype == torch.uint8
    assert images.shape == (3, 1, 32, 32)
    assert {127, 128} <= set(images.unique().tolist())
    assert module.generator.training
    assert_close(module.noise.get_state(), noise)
    assert_close(torch.get_rng_state(), glob)
    for old, new in zip(buffers, module.buffers(), strict=True):
        assert_close(old, new, rtol=0, atol=0)


def test_generate_uses_evaluation_mode(tiny_gan):
    """Batch norm in evaluation mode: a picture does not depend on its neighbours."""
    module = tiny_gan(networks="dcgan")
    z = module.draw_latents(4, torch.Generator().manual_seed(0))
    assert torch.equal(module.generate(z)[:1], module.generate(z[:1]))


@pytest.mark.parametrize("training", [True, False])
def test_generate_restores_the_mode_even_after_an_error(training, tiny_gan):
    module = tiny_gan()
    module.generator.train(training)
    with pytest.raises(RuntimeError):
        module.generate(torch.zeros(2, 3))
    assert module.generator.training is training


def test_generate_gives_points_as_floats(tiny_gan):
    module = tiny_gan()
    module.generator = nn.Linear(5, 2)
    points = module.generate(10 * module.draw_latents(50, torch.Generator().manual_seed(0)))
    assert points.dtype == torch.float32
    assert points.shape == (50, 2)
    assert points.abs().max() > 1
    assert not points.requires_grad


@pytest.mark.parametrize("n_critic", [0, -1])
def test_too_few_critic_updates_are_refused(n_critic, tiny_gan):
    with pytest.raises(ValueError, match=f"n_critic must be at least 1, not {n_critic}"):
        tiny_gan(n_critic=n_critic)
    with pytest.raises(ValueError, match=f"accumulate must be at least 1, not {n_critic}"):
        tiny_gan(accumulate=n_critic)


def test_channels_last_changes_the_layout_alone(tiny_gan, tiny_trainer, tiny_data):
    results = []
    for flag in (True, False):
        module = tiny_gan(networks="dcgan", channels_last=flag, **SGD)
        tiny_trainer(max_steps=2).fit(module, datamodule=tiny_data(shape=(1, 32, 32)))
        kernel = module.discriminator.layers[2].weight
        assert kernel.is_contiguous(memory_format=torch.channels_last) is flag
        results.append(weights(module))
    for a, b in zip(*results, strict=True):
        assert_close(a, b, rtol=1e-3, atol=1e-4)


class LabelledData(LightningDataModule):
    """Dark images of class 0, light ones of class 1, in one batch after the other."""

    class_names = ("dark", "light")

    def train_dataloader(self):
        labels = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
        image = torch.where(labels == 1, 0.5, -0.5).view(-1, 1, 1, 1).expand(8, 1, 8, 8)
        return DataLoader([{"image": image, "label": labels}] * 4, batch_size=None)


def conditional(tiny_gan, head, **options):
    module = tiny_gan(num_classes=2, **options)
    module.generator = MLPGenerator(5, (1, 8, 8), [16], nn.Tanh(), LabelConcat(2))
    module.discriminator = MLPDiscriminator((1, 8, 8), [16], head=lambda n: head(n, 2))
    return module


def test_fakes_have_the_labels_of_the_real_ones_beside_them(tiny_gan, tiny_trainer):
    module, told = conditional(tiny_gan, Projection, n_critic=2, accumulate=2), []
    for name in ("generator", "discriminator"):
        network = getattr(module, name)
        forward = network.forward
        network.forward = lambda x, labels, name=name, forward=forward: (
            told.append((name, len(x), labels.tolist())) or forward(x, labels)
        )
    tiny_trainer(max_steps=1).fit(module, datamodule=LabelledData())
    parts = [[0, 1], [1, 0], [1, 0], [0, 1]]
    critics = [(n, 2, p) for p in parts for n in ("generator", *["discriminator"] * 2)]
    generators = [(n, 2, p) for p in parts[2:] for n in ("generator", "discriminator")]
    assert told == critics + generators


def test_an_auxiliary_classifier_adds_its_cross_entropy_to_both(tiny_gan, tiny_trainer):
    module, weights, values = conditional(tiny_gan, AuxiliaryClassifier), [], []
    module.classifier_weight = 0.25
    module.discriminator.head.classes.weight.data.zero_()
    module.discriminator.head.classes.bias.data.zero_()
    update = module.update

    def spied(player, optimizer, terms, parts):
        (terms,) = terms
        weights.append((player, terms["classes"].weight))
        values.append(terms["classes"].value.item())
        update(player, optimizer, terms, parts)

    module.update = spied
    tiny_trainer(max_steps=1).fit(module, datamodule=LabelledData())
    assert weights == [("discriminator", 0.25), ("generator", 0.25)]
    # It knows nothing yet: ln 2 on real and ln 2 on generated images.
    assert values[0] == pytest.approx(2 * math.log(2), rel=1e-5)


@pytest.mark.parametrize("head", [Projection, AuxiliaryClassifier])
def test_labels_steer_the_generator(head, tiny_gan, tiny_trainer):
    """After some steps dark is darker than light, whatever the latent."""
    module = conditional(tiny_gan, head)
    tiny_trainer(max_steps=250).fit(module, datamodule=LabelledData())
    z = module.draw_latents(20, torch.Generator().manual_seed(1))
    dark, light = (module.generate(z, torch.full((20,), i)).float().mean() for i in (0, 1))
    assert light - dark > 60


def test_labels_are_drawn_as_the_data_has_them(tiny_gan):
    module = conditional(tiny_gan, Projection)
    assert module.draw_labels(5000, 0).float().mean().item() == pytest.approx(0.5, abs=0.03)
    module.class_shares = [0.9, 0.1]
    labels = module.draw_labels(5000, 0)
    assert labels.float().mean().item() == pytest.approx(0.1, abs=0.015)
    assert torch.equal(module.draw_labels(7, 0), labels[:7])
    assert not torch.equal(module.draw_labels(5000, 1), labels)
    module.class_shares = [0.0, 1.0]
    assert module.draw_labels(50, 0).unique().tolist() == [1]
    assert tiny_gan().draw_labels(3, 0) is None


def test_typical_inputs_have_the_classes_of_the_data(tiny_gan):
    """As often as there, the same every time; a network that is not known has none."""
    module = conditional(tiny_gan, Projection)
    module.class_shares = [0.9, 0.1]
    pairs = [torch.cat(parts) for parts in zip(*module.typical_inputs("generator"), strict=True)]
    again = [torch.cat(parts) for parts in zip(*module.typical_inputs("generator"), strict=True)]
    assert all(map(torch.equal, pairs, again))
    z, labels = pairs
    assert z.shape == (512, 5)
    assert labels.float().mean().item() == pytest.approx(0.1, abs=0.04)
    assert not list(module.typical_inputs("discriminator"))


def test_a_conditional_model_is_asked_for_a_class(tiny_gan):
    with pytest.raises(ValueError, match="choose labels, or take draw_labels"):
        conditional(tiny_gan, Projection).generate(torch.zeros(2, 5))


def test_a_checkpoint_knows_how_frequent_classes_are(tiny_gan, tiny_trainer, tmp_path):
    class Rare(LabelledData):
        class_shares = (0.9, 0.1)

    module = conditional(tiny_gan, Projection)
    trainer = tiny_trainer(max_steps=1)
    trainer.fit(module, datamodule=Rare())
    assert module.class_shares == (0.9, 0.1)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    told = torch.load(tmp_path / "a.ckpt", weights_only=True)["ganforge"]
    assert list(told["class_shares"]) == [0.9, 0.1]


def test_labels_that_do_not_fit_are_refused(tiny_gan, tiny_data, tiny_trainer):
    module = conditional(tiny_gan, Projection)
    module.num_classes = 3
    with pytest.raises(UserError, match=r"3 classes but the data has 2 classes: .*num_classes=2"):
        tiny_trainer(max_steps=1).fit(module, datamodule=LabelledData())
    with pytest.raises(UserError, match="the data has no labels"):
        tiny_trainer(max_steps=1).fit(module, datamodule=tiny_data())
    with pytest.raises(ValueError, match="unconditional"):
        tiny_gan().generate(torch.zeros(1, 5), torch.tensor([0]))
