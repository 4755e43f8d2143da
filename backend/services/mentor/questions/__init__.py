"""Questions of learners, reduced to what is looked up."""
