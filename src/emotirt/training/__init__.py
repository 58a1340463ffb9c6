"""EmotiRT training."""
