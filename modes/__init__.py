"""One file per mode of main.py; with main.py, the only place where the folders are joined."""
