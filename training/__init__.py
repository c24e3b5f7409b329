"""Trains the tiny Ming-UniVision from scratch; imports the engine and is never imported by it."""
