"""conda channels: packages by repodata, and where channels say that their files are."""
