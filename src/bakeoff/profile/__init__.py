"""What profiles show, read from their records: budget, layers, limits, findings. Nothing here runs a job."""
