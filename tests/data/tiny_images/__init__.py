"""A TFDS data set of 14 flat images, so that real ArrayRecord files can be written and read without a network."""
