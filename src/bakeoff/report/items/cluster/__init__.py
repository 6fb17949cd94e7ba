"""A section's distributed runs: one module for each question, over what `runs.cluster` knows of them."""
