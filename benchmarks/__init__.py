"""Speed, memory and precision beside those of other code: each file prints a table and writes JSON."""

import linnet as linnet  # in a clone: makes the short names lead to modules of linnet
