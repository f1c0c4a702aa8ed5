"""What the verbs share: an experiment (a config and its parts), and what is made, read and written with them."""
