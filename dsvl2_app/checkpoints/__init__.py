"""Checkpoints without their weights in memory: fetched and checked, listed by part, and what they would need to run."""
