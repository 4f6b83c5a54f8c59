"""Hydra plug-ins of ganforge."""
