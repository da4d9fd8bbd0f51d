"""Centrelines, and every spine on them: where it stands, how large it is, what could be seen."""
