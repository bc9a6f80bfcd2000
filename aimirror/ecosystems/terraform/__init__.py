"""Terraform and OpenTofu: what registries say (``documents``), and what clients get (``world``)."""
