"""Studies: several networks trained with one recipe over several seeds, and their results beside published ones."""
