"""Speed, memory and precision beside those of other code: each file prints a table and writes JSON."""
