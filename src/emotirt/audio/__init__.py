"""EmotiRT audio."""
