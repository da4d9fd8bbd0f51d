"""Figures and one page for people. Returns text; writes nothing."""
