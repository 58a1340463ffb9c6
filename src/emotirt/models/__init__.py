"""EmotiRT models."""
