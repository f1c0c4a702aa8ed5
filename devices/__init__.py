"""Devices: arrays spread over them, functions mapped over them, processes joined. Imports nothing of ours."""

import linnet as linnet  # in a clone: makes the short names lead to modules of linnet
