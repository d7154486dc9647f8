"""`layers:`, `blocks:`, `inputs:` and `outputs:`: what stands in a network, and what reads what."""
