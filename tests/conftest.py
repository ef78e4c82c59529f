"""What every function gets from the template, and nothing of the AWS settings of whoever runs the tests."""

import os

import hypothesis

import local  # noqa: F401 (importing it takes the user's AWS settings out of the process)

# Powertools reads these when it is first imported.
os.environ.update(POWERTOOLS_SERVICE_NAME="loyalty-ml", POWERTOOLS_METRICS_NAMESPACE="LoyaltyML")

# How long an example takes says something of the machine, and nothing of the code.
hypothesis.settings.register_profile("no clock", deadline=None)
hypothesis.settings.load_profile("no clock")
