"""Package worlds: what is known of each beyond HTTP, by the name that rules use."""
