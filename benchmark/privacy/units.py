"""Kept for plug-ins that were written before this moved; see the import below."""

from benchmark.privacy.accounting.units import check_delta as check_delta
from benchmark.privacy.accounting.units import default_delta as default_delta
