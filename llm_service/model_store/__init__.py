"""The models on this machine, for people: which there are, what they are, fetching and removing them."""
