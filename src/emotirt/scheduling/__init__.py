"""Scheduling: which work runs next, on which backend, and what happens when that fails. Knows costs, not speech."""
