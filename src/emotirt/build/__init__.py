"""EmotiRT build."""
