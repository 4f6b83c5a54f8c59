"""From means of logged readings to the vitals of every critic."""

from ganforge.callbacks.doctor.vitals import Vitals

# Reading of an update -> field of Vitals. A translator's readings end in the side of their critic.
NAMES = {
    "discriminator/adversarial": "critic_loss",
    "generator/adversarial": "generator_loss",
    "discriminator/D(x)": "d_real",
    "discriminator/D(G(z))": "d_fake",
    "discriminator/logit(x)": "logit_real",
    "discriminator/logit(G(z))": "logit_fake",
    "discriminator/gradient_norm": "critic_gradient",
    "generator/gradient_norm": "generator_gradient",
}
SIDES = ("a", "b")


def vitals_by_side(
    step: int,
    means: dict[str, float],
    looked: dict[str, dict[str, float]],
    shared: dict[str, float],
) -> dict[str, Vitals]:
    """The vitals of one window for every critic; one critic alone has the side ``""``.

    ``shared`` readings, and those without a side, belong to all.
    """
    by_side: dict[str, dict[str, float]] = {}
    common: dict[str, float] = dict(shared)
    terms: dict[str, float] = {}
    for name, value in means.items():
        stem, _, side = name.rpartition("_")
        if name in NAMES:
            common[NAMES[name]] = value
        elif side in SIDES and stem in NAMES:
            by_side.setdefault(side, {})[NAMES[stem]] = value
        elif name.startswith("generator/") and name != "generator/loss":
            terms[name.removeprefix("generator/")] = value
    # Without readings of a critic's own the game has one critic, whatever its samples' side.
    for side, readings in looked.items():
        by_side.setdefault(side if by_side.keys() & set(SIDES) else "", {}).update(readings)
    return {
        s: Vitals(step, **{**common, **r}, terms=terms) for s, r in (by_side or {"": {}}).items()
    }
