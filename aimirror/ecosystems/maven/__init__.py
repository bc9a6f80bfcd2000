"""Maven repositories."""
