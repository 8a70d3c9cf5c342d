"""Readers and writers of other codes' model files."""
