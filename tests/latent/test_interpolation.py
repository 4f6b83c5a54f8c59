import pytest
import torch
from torch import nn

from ganforge.latent.interpolation import (
    Interpolation,
    lerp,
    perceptual_path_length,
    slerp,
    without_tails,
)
from ganforge.latent.perceptual import distance, embed
from ganforge.utils.errors import UserError

PATHS = {"linear": lerp, "spherical": slerp}


def test_slerp_keeps_the_length_and_halves_the_angle():
    a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    middle = slerp(a, b, torch.tensor(0.5))
    torch.testing.assert_close(middle, torch.tensor([[2**0.5, 2**0.5]]))
    third = slerp(a, b, torch.tensor(1 / 3))
    torch.testing.assert_close(third, torch.tensor([[3**0.5, 1.0]]))


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_paths_start_and_end_where_they_should(path):
    z = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(path(z[0], z[1], torch.tensor(0.0)), z[0])
    torch.testing.assert_close(path(z[0], z[1], torch.tensor(1.0)), z[1])


def test_slerp_between_parallel_and_opposite_vectors_is_finite():
    a = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    b = torch.tensor([[3.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
    middle = slerp(a, b, torch.tensor(0.5))
    assert middle.isfinite().all()
    torch.testing.assert_close(middle[0], torch.tensor([2.0, 0.0]))


def test_the_perceptual_distance_has_its_closed_form():
    # Two layers: orthogonal directions differ by 2 at every place, equal ones by 0.
    one = [torch.tensor([1.0, 0.0])[None, :, None, None].expand(1, 2, 3, 3)] * 2
    other = [torch.tensor([0.0, 5.0])[None, :, None, None].expand(1, 2, 3, 3), one[0] * 7]
    seen = [embed(lambda x: x, maps) for maps in (one, other)]
    assert distance(*seen).item() == pytest.approx(1.0)


def test_path_length_of_a_linear_generator_is_the_squared_distance_of_the_ends(space_with):
    # One output map of unit length: (cos, sin) of an angle. Along a line at speed s the squared
    # chord of a step ε is (s ε)² to first order, so the path length is s².
    class Angle(nn.Module):
        def forward(self, z):
            return torch.stack([z[:, 0].cos(), z[:, 0].sin()], 1)[:, :, None, None]

    space = space_with(generator=Angle(), activations=lambda images: [images])
    a, b = torch.zeros(8, 1, dtype=torch.float64), torch.full((8, 1), 0.5, dtype=torch.float64)
    value = perceptual_path_length(space, lerp, a, b, torch.Generator().manual_seed(0))
    assert value == pytest.approx(0.25, rel=1e-4)


def test_a_walk_between_groups_rises_in_what_parts_them(space):
    tool = Interpolation(
        "split=left", "split=right", PATHS, pairs=5, shown=2, n=5, pool=300, measure="split",
        frames=6, path_length=50,
    )  # fmt: skip
    findings = tool(space)
    numbers = findings.numbers
    assert numbers["linear"]["spearman"] > 0.9
    assert numbers["linear"]["mean_of_stops"][-1] - numbers["linear"]["mean_of_stops"][0] > 1
    assert numbers["regressor"]["held_out_r2"] > 0.8
    assert numbers["spherical"]["perceptual_path_length"] > 0
    assert findings.pictures["linear"].images.shape == (2 * 9, 3, 8, 8)
    assert len(findings.pictures["spherical_film"].frames) == 6
    back = Interpolation(
        "split=right", "split=left", PATHS, pairs=5, n=5, pool=300, measure="split"
    )
    assert back(space).numbers["linear"]["spearman"] < -0.9


def test_seeds_are_walked_pair_by_pair(space):
    sheet = Interpolation([1, 2], [3, 4], PATHS, steps=3, path_length=0)(space).pictures["linear"]
    ends = space.images(space.of_seeds([1, 3, 2, 4]))
    assert torch.equal(sheet.images[[0, 2, 3, 5]], ends)


@pytest.mark.parametrize(("shown", "columns"), [(1, 1), (4, 4), (5, 3), (6, 3), (9, 3)])
def test_a_film_has_rows_as_equal_as_can_be(shown, columns, space):
    seeds = list(range(shown))
    tool = Interpolation(seeds, seeds, PATHS, shown=shown, frames=2, path_length=0, steps=2)
    assert tool(space).pictures["linear_film"].columns == columns


def test_the_film_returns_to_where_it_began(space):
    film = Interpolation([1], [2], PATHS, frames=8, path_length=0)(space).pictures["linear_film"]
    assert torch.equal(film.frames[0], space.images(space.of_seeds([1])))
    assert torch.equal(film.frames[4], space.images(space.of_seeds([2])))
    assert torch.equal(film.frames[3], film.frames[5])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"b": [3]}, "tool.a has 2 seeds and tool.b 1"),
        ({"steps": 1}, "at least 2 stops"),
        ({"measure": "age"}, "no attribute 'age': there are bright, split"),
    ],
)
def test_mistakes_are_one_sentence(space, changes, message):
    settings = {"a": [1, 2], "b": [3, 4], "paths": PATHS, "path_length": 0, **changes}
    with pytest.raises(UserError, match=message):
        Interpolation(**settings)(space)


def test_path_lengths_are_averaged_without_their_tails():
    """The first and the last hundredth go: one jump of a million then counts nothing."""
    lengths = torch.arange(101, dtype=torch.float64)
    assert without_tails(lengths) == pytest.approx(50)
    lengths[-1], lengths[0] = 1e6, -1e6
    assert without_tails(lengths[torch.randperm(101)]) == pytest.approx(50)
