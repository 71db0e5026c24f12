"""The profile of hypothesis under which mutants are tested: few examples, and the same ones for each."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "mutation",
    max_examples=12,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)
