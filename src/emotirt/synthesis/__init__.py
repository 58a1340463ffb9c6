"""Synthesis: utterances to audio through the stages, with no queue."""
