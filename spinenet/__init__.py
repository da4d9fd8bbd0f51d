"""spinenet: dendritic spines across two-photon imaging sessions."""

__version__ = "0.1.0"
