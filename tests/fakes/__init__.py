"""Stand-ins for edges, and short words for long set-ups, used by several test modules."""
