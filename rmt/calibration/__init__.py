"""Calibration: what a fitted alpha is worth, where noise ends, and what a spectrum says of the entries behind it."""

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
from rmt.calibration.spikes import spike_threshold as spike_threshold
