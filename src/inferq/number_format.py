"""Numbers as people read them."""


def format_number(number: float, digits: int = 12) -> str:
    """Returns a number without a power of ten for what is long, as `:g` has it: 2592000, not 2.592e+06.

    Args:
        number: The number.
        digits: How many of its digits count; the others are rounded to 0, so that 1234 with three is 1230.
    """
    return f"{float(f'{number:.{digits}g}'):.15g}"
