"""Shares as people read them."""


def percent(share: float, decimals: int = 0) -> str:
    """``4.1 %`` of 0.041."""
    return f"{100 * share:.{decimals}f} %"
