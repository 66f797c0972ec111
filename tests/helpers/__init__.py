"""What several test modules use: media, models, runs, galleries and servers that tests make for themselves."""
