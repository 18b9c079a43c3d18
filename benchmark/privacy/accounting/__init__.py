"""What a private fit costs: accountants, calibration, units and composition."""
