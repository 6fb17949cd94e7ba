"""What a report opens with: who may be called faster, how well that is founded, and where to check it."""
