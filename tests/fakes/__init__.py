"""Stand-ins for the edges of a connector, used where a real child would hide what is tested."""
