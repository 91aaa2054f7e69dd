"""Seeded campaigns: events flow, what can break is broken at random moments, then the books are compared.

What is random comes from one seed, which each campaign prints; `LONGWIRE_SEED` repeats it. Moments are not
repeated to the millisecond: processes and their scheduling are real.
"""
