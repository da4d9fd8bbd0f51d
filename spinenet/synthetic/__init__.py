"""Known dendrites: what a microscope would see of them, and the exact truth beside it.

morphology draws shapes, optics images them, turnover lets spines come and go, experiment puts
sessions together, patches cuts training examples. Everything is drawn from a given generator.
"""
