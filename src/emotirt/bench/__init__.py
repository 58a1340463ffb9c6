"""EmotiRT bench."""
