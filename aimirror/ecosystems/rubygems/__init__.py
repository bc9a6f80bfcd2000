"""RubyGems."""
