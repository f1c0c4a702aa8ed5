"""What the verbs share: an experiment (a config and its parts), and what is made, read and written with them."""

import linnet as linnet  # in a clone: makes the short names lead to modules of linnet
