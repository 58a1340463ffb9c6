"""The bundle: what build writes and serving reads. Nothing else connects the two."""
