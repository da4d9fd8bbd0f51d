"""What happened to the spines: states, turnover, clusters with their null, survival.

Definitions follow Fu, Yu, Lu & Zuo (Nature 483:92, 2012) where that paper states them.
"""
