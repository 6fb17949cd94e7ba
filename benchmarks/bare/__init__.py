"""The study's network as one would write it without Bakeoff; nothing here imports any of it."""
