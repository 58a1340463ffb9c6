"""EmotiRT runtime."""
