"""ganforge trains, scores and explores generative adversarial networks."""

__version__ = "0.1.0"
