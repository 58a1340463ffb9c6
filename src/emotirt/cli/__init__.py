"""EmotiRT cli."""
