"""How far a 95 % interval of a normal distribution reaches."""

NORMAL_95 = 1.959963984540054
"""Standard deviations to either side of the mean that hold 95 %: the 97.5 % quantile."""
