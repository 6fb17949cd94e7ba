"""What a report says of distributed runs: Table 1, where the time went, layouts, and whether it pays."""
