"""Questions of learners, reduced to search terms."""
