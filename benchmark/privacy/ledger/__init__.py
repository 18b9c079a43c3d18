"""What every patient's data have paid so far, on this machine."""
