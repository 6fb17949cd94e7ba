"""What runs inside each backend's environment: Python 3.7 upwards, standard library and numpy only."""
