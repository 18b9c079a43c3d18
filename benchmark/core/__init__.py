"""The vocabulary and the contracts that every other package speaks; imports nothing of ours."""
