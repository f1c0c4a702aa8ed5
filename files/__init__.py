"""Files: whole or not at all, and published ones by their checksum. Imports nothing of ours."""
