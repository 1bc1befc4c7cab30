"""All known faults, in the order in which they are named."""

from __future__ import annotations

from lossproof.fingerprints.fault import Fault
from lossproof.fingerprints.faults_of_logarithms import LOGARITHM_FAULTS
from lossproof.fingerprints.faults_of_reduction import REDUCTION_FAULTS
from lossproof.fingerprints.faults_of_rounding import ROUNDING_FAULTS
from lossproof.fingerprints.faults_of_targets import TARGET_FAULTS

FAULTS: tuple[Fault, ...] = (*REDUCTION_FAULTS, *TARGET_FAULTS, *ROUNDING_FAULTS, *LOGARITHM_FAULTS)
