"""A model on the hub: which repository and files it is, and at which pinned commit."""
