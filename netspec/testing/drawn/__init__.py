"""Specs drawn at random: over every op, with branches and blocks, valid by construction."""
