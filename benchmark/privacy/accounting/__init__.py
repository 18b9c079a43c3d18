"""What a private fit costs: accountants, calibration, units and composition."""

from benchmark.privacy.accounting.subsampled_gaussian import account as account
from benchmark.privacy.accounting.subsampled_gaussian import epsilon_spent as epsilon_spent
