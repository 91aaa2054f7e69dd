"""Longwire."""
