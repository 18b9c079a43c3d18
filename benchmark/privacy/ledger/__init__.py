"""What every patient's data have paid so far, on this machine."""

from benchmark.privacy.ledger.ledger import Ledger as Ledger
