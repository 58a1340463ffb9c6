"""Runners: a stage loaded on a backend."""
