"""Money, metering, tariff, rating and plausibility: pure functions of their arguments.

No I/O and no clock; no float touches an amount, a price or a register.
"""
