"""Networks of the kinds that people publish, small, each a file as users write it."""
