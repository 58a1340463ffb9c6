"""EmotiRT bundle."""
