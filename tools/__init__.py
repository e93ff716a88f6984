"""Tools of the repository itself: preflight, generated documentation."""
