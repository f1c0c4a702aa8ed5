"""Training: the step, the loop around it, what it minimises, and what is kept of it."""

import linnet as linnet  # in a clone: makes the short names lead to modules of linnet
