"""Voices and emotions by name."""
