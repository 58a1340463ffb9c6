"""EmotiRT voices."""
