"""Centrelines (skeleton), every spine's place (attach) and size (shape) on them, what can be seen (quality)."""
