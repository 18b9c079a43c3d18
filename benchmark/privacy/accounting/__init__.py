"""The privacy cost of fits: accountants, calibration, units and composition."""
