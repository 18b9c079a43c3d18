"""The ledger of what every patient's data have spent so far, on this machine."""
