"""Checkpoints: read safely, explained where they do not fit, converted."""
