"""Training: the step, the loop around it, what it minimises, and what is kept of it."""
