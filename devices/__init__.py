"""Devices: arrays spread over them, functions mapped over them, processes joined. Imports nothing of ours."""
