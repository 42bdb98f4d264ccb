"""Calibration: what a fitted alpha is worth, where noise ends, and what a spectrum says of the entries behind it."""

from rmt.calibration.card import Card as Card
from rmt.calibration.card import class_card as class_card
from rmt.calibration.classes import CLASSES as CLASSES
from rmt.calibration.classes import ClassEstimate as ClassEstimate
from rmt.calibration.classes import ClassTable as ClassTable
from rmt.calibration.classes import classify as classify
from rmt.calibration.mu import MuEstimate as MuEstimate
from rmt.calibration.mu import estimate_mu as estimate_mu
from rmt.calibration.mu_simulation import FAMILIES as FAMILIES
from rmt.calibration.mu_table import MuTable as MuTable
from rmt.calibration.noise import SMALLEST_M as SMALLEST_M
from rmt.calibration.noise import SMALLEST_N_TAIL as SMALLEST_N_TAIL
from rmt.calibration.noise import NoiseTable as NoiseTable
from rmt.calibration.noise import ks_threshold as ks_threshold
from rmt.calibration.noise import noise_p_value as noise_p_value
from rmt.calibration.noise import noise_quantile as noise_quantile
from rmt.calibration.noise import noise_threshold as noise_threshold
from rmt.calibration.nulls import NULLS as NULLS
from rmt.calibration.nulls import NullTest as NullTest
from rmt.calibration.nulls import null_spectra as null_spectra
from rmt.calibration.nulls import null_tests as null_tests
from rmt.calibration.spikes import spike_p_value as spike_p_value
from rmt.calibration.spikes import spike_threshold as spike_threshold
from rmt.calibration.traps import expected_traps as expected_traps
from rmt.calibration.traps import trap_p_value as trap_p_value
