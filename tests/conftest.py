"""What the template gives every function: Powertools reads these when it is first imported."""

import os

os.environ.update(POWERTOOLS_SERVICE_NAME="loyalty-ml", POWERTOOLS_METRICS_NAMESPACE="LoyaltyML")
