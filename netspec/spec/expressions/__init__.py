"""`${…}`: what an expression is, and what it computes."""
