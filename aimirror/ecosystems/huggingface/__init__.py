"""The Hugging Face Hub: revisions and files, their metadata, the API, no Xet past the mirror."""
