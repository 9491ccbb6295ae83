"""The command ``lunora-rx``."""
