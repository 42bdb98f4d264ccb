"""Calibration: what a fitted alpha is worth, where noise ends, and what a spectrum says of the entries behind it."""
