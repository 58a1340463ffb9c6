"""EmotiRT text."""
