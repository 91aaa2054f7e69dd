"""Who carries events from a producer to a subscriber, durably: Longwire, the raw pipeline, and brokers.

Each module runs one of them and says what it cost; what they have in common is in `carrying`, what they all
send and count in `../../programs/events.py`.
"""
