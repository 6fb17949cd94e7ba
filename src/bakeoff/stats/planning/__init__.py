"""How many blocks it takes, planned from noise: before a study (`design`), and while it is undecided.

components.py   noise of processes and of epochs, from earlier runs
power.py        the least signal that so many blocks show
design.py       the cheapest blocks and epochs that show a difference
projection.py   how many more blocks would decide a pair
"""
