"""One class or function for the instances of a block: what they share, what differs, and what that is called."""
