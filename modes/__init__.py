"""One file per verb of main.py; what they share is in engine/."""
