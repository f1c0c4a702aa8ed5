"""One file per verb of main.py; what they share is in engine/."""

import linnet as linnet  # in a clone: makes the short names lead to modules of linnet
