"""EmotiRT synthesis."""
