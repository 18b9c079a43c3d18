"""The suite itself: what is measured, how, and the commands."""
