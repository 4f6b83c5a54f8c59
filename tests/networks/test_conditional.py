import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.testing import assert_close

from ganforge.networks.conditional import (
    AuxiliaryClassifier,
    ConditionalBatchNorm2d,
    LabelConcat,
    LabelNorm,
    NoHead,
    NoLabels,
    Projection,
    with_labels,
)
from ganforge.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from ganforge.networks.frugal import FrugalDiscriminator, FrugalGenerator
from ganforge.networks.mlp import MLPDiscriminator, MLPGenerator
from ganforge.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from ganforge.networks.sngan import SNGANDiscriminator, SNGANGenerator

LABELS = torch.tensor([0, 2, 1])


def head(kind):
    return lambda features: kind(features, 3)


def test_conditional_batch_norm_by_hand():
    layer = ConditionalBatchNorm2d(1, 2)
    with torch.no_grad():
        layer.scale.weight.copy_(torch.tensor([[2.0], [10.0]]))
        layer.shift.weight.copy_(torch.tensor([[1.0], [-1.0]]))
    x = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1)
    out = layer(x, torch.tensor([0, 1])).flatten()
    assert_close(out, torch.tensor([-1.0, 9.0]), rtol=1e-4, atol=1e-4)
    alike = ConditionalBatchNorm2d(3, 2)
    assert_close(alike(torch.ones(2, 3, 4, 4), torch.tensor([0, 1])), torch.zeros(2, 3, 4, 4))


def test_projection_by_hand():
    projection = Projection(2, 3)
    with torch.no_grad():
        projection.embedding.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]]))
    features = torch.tensor([[3.0, 4.0]] * 3)
    said = projection(torch.full((3, 1), 0.5), features, LABELS)
    assert_close(said, torch.tensor([[3.5], [14.5], [4.5]]))


def test_the_classifier_speaks_behind_the_logit():
    classifier = AuxiliaryClassifier(2, 3)
    features, logits = torch.randn(5, 2), torch.randn(5, 1)
    said = classifier(logits, features, None)
    assert_close(said[:, :1], logits)
    assert_close(said[:, 1:], classifier.classes(features))


def test_one_hot_labels_beside_latents_rows_and_images():
    z = torch.zeros(3, 2)
    assert_close(LabelConcat(3).latents(z, LABELS)[:, 2:], torch.eye(3)[LABELS])
    assert_close(with_labels(z, LABELS, 3)[:, 2:], torch.eye(3)[LABELS])
    planes = with_labels(torch.zeros(3, 1, 4, 4), LABELS, 3)
    assert planes.shape == (3, 4, 4, 4)
    assert_close(planes[:, 1:].mean((2, 3)), torch.eye(3)[LABELS])
    assert with_labels(z, None, 0) is z
    assert NoLabels().latents(z, None) is z


GENERATORS = [
    lambda labels: DCGANGenerator(5, 3, 32, 4, labels),
    lambda labels: FrugalGenerator(5, 3, 32, 4, labels),
    lambda labels: SNGANGenerator(5, 3, 32, 2, labels),
    lambda labels: R3GANGenerator(5, 3, 32, 8, 1, labels=labels),
    lambda labels: MLPGenerator(5, (3, 32, 32), [8], nn.Tanh(), labels),
]
DISCRIMINATORS = [
    lambda **o: DCGANDiscriminator(3, 32, 4, **o),
    lambda **o: FrugalDiscriminator(3, 32, 4, **o),
    lambda **o: SNGANDiscriminator(3, 32, 2, **o),
    lambda **o: R3GANDiscriminator(3, 32, 8, 1, **o),
    lambda **o: MLPDiscriminator((3, 32, 32), [8], **o),
]


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("entry", [LabelNorm(3), LabelConcat(3)])
def test_generators_hear_their_label(make, entry):
    torch.manual_seed(0)
    generator = make(entry)
    for module in generator.modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight)
    generator.eval()
    z = torch.randn(1, 5).expand(3, 5)
    images = generator(z, LABELS)
    assert images.shape == (3, 3, 32, 32)
    assert not torch.allclose(images[0], images[1])
    assert_close(generator(z[:1], LABELS[:1]), images[:1], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="needs the label"):
        generator(z)


@pytest.mark.parametrize("make", DISCRIMINATORS)
@pytest.mark.parametrize(
    ("options", "width"),
    [
        ({"head": head(Projection)}, 1),
        ({"head": head(AuxiliaryClassifier)}, 4),
        ({"concat_classes": 3}, 1),
    ],
)
def test_discriminators_hear_their_label(make, options, width):
    torch.manual_seed(0)
    discriminator = make(**options).eval()
    for name, p in discriminator.named_parameters():
        if "body.4" in name:  # R3GAN's residual branches start at zero
            nn.init.normal_(p, std=0.1)
    x = torch.randn(1, 3, 32, 32).expand(3, -1, -1, -1)
    said = discriminator(x, LABELS)
    assert said.shape == (3, width)
    if width == 1:
        assert len(said.flatten().unique()) == 3
        with pytest.raises(ValueError, match="needs the label"):
            discriminator(x)


@pytest.mark.parametrize("make", DISCRIMINATORS)
def test_without_labels_the_logit_is_all(make):
    discriminator = make()
    assert isinstance(discriminator.head, NoHead)
    assert discriminator(torch.randn(2, 3, 32, 32)).shape == (2, 1)


@pytest.mark.parametrize("make", DISCRIMINATORS[:3])
def test_spectral_norm_holds_the_heads_too(make):
    discriminator = make(head=head(Projection), weight_norm=spectral_norm)
    for _ in range(30):
        discriminator(torch.randn(3, 3, 32, 32), LABELS)
    weight = discriminator.head.embedding.weight.detach()
    assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, rel=1e-2)


@pytest.mark.parametrize("count", [None, 0, 1])
@pytest.mark.parametrize("kind", [LabelNorm, LabelConcat, lambda n: Projection(4, n)])
def test_data_without_classes_is_refused(count, kind):
    with pytest.raises(ValueError, match=f"data.num_classes is {count}"):
        kind(count)
