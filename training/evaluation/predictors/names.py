"""The names of the predictors, in the order in which they are shown."""

INTERPOLATION, CORRECTED, REGRESSION = "interpolation", "interpolation, bias removed", "regression"
WHITE, SHAPED = "regression + white noise", "regression + noise of the residual's spectrum"
MEAN, MEMBER, ENSEMBLE = "CorrDiff mean", "CorrDiff member", "CorrDiff ensemble"
PERSISTENCE, CLIMATOLOGY = "persistence", "climatology"
PREDICTORS = (INTERPOLATION, CORRECTED, REGRESSION, WHITE, SHAPED, MEAN, MEMBER, ENSEMBLE)
MAPPED = (INTERPOLATION, REGRESSION, MEAN)
"""The predictors, beside the baselines, whose mean errors are mapped."""
