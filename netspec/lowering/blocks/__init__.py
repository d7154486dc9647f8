"""Sharing code between instances of a block: one class or function, with parameters for what differs between them."""
