"""EmotiRT: low-latency emotional text-to-speech."""
