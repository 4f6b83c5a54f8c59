import signal

import pytest

from tiny import RandomImages, make_gan, make_trainer

# A shell's background jobs ignore it, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def tiny_data():
    """Make a data module of random images in memory."""
    return RandomImages


@pytest.fixture
def tiny_gan():
    """Make a GAN of 8x8 images (networks="dcgan": 32x32) whose weights depend on the seed."""
    return make_gan


@pytest.fixture
def tiny_trainer(tmp_path):
    """Make a silent trainer that logs every step and writes nothing of its own."""

    def make(**options):
        return make_trainer(tmp_path, **options)

    return make
