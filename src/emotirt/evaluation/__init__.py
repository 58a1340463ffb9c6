"""EmotiRT evaluation."""
