"""What the parent and its worker processes say to each other: AMP over a socketpair."""
