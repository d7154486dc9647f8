"""What rows compare, each made by a function: a peer's or one's own, ready to be called."""
